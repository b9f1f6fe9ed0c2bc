"""Recognition of live microphones: speech detection, interim results and end of turn."""
