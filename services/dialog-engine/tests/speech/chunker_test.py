from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.limits import BYTES_PER_MS, CHUNK_MS
from dialog_engine.speech.chunker import AudioChunk, AudioChunker
from dialog_voice.text.fragmenter import CLAUSE_PAUSE_MS, SENTENCE_PAUSE_MS, Fragment
from dialog_voice.voice import VisemeCue, VoiceAudio, WordCue


def audio(ms: int) -> bytes:
    return bytes(range(1, 256)) * ((ms * BYTES_PER_MS) // 255 + 1)


def speak(cutter: AudioChunker, fragment: Fragment, pieces: list[VoiceAudio]) -> list[AudioChunk]:
    cutter.begin(fragment)
    return [chunk for piece in pieces for chunk in cutter.feed(piece)] + cutter.end()


@given(st.lists(st.lists(st.integers(1, 4000), min_size=1, max_size=6), min_size=1, max_size=5))
def test_numbers_and_offsets_have_no_gaps_and_no_sample_is_lost(fragments: list[list[int]]) -> None:
    cutter, chunks, given_bytes = AudioChunker(), [], []
    for sizes in fragments:
        pieces = [audio(200)[: size * 2] for size in sizes]
        made = speak(
            cutter,
            Fragment("word", 0, ends_sentence=False),
            [VoiceAudio(piece) for piece in pieces],
        )
        assert b"".join(chunk.pcm for chunk in made).startswith(b"".join(pieces))
        chunks += made
        given_bytes.append(sum(len(piece) for piece in pieces))
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    at = 0
    for chunk in chunks:
        assert chunk.offset_ms == at
        assert 20 <= chunk.duration_ms <= 60
        assert len(chunk.pcm) % BYTES_PER_MS == 0
        at += chunk.duration_ms


def test_each_chunk_has_the_shape_of_the_mouth_at_its_start_and_its_words() -> None:
    cutter = AudioChunker()
    piece = VoiceAudio(
        audio(200)[: 200 * BYTES_PER_MS],
        (VisemeCue(0, {"PP": 1.0}), VisemeCue(50, {"aa": 0.7}), VisemeCue(120, {"oh": 0.5})),
        (WordCue(0, 0, 5), WordCue(90, 6, 11)),
    )
    chunks = speak(cutter, Fragment("hello world", 100, ends_sentence=True), [piece])
    assert [chunk.viseme for chunk in chunks[:5]] == [
        {"PP": 1.0},
        {"PP": 1.0},
        {"aa": 0.7},
        {"oh": 0.5},
        {"oh": 0.5},
    ]
    assert [(chunk.text_start, chunk.text_end) for chunk in chunks[:4]] == [
        (100, 105),
        (100, 105),
        (106, 111),
        (106, 111),
    ]
    silent = chunks[5:]
    assert silent
    assert all(chunk.viseme == {"sil": 1.0} and not any(chunk.pcm) for chunk in silent)


def test_offsets_of_the_second_fragment_go_on_where_the_first_ended() -> None:
    cutter = AudioChunker()
    first = speak(
        cutter,
        Fragment("one ", 0, ends_sentence=False),
        [VoiceAudio(audio(80)[: 80 * BYTES_PER_MS])],
    )
    second = speak(
        cutter,
        Fragment("two", 4, ends_sentence=True),
        [VoiceAudio(audio(80)[: 80 * BYTES_PER_MS], (), (WordCue(0, 0, 3),))],
    )
    assert sum(chunk.duration_ms for chunk in first) == 80 + CLAUSE_PAUSE_MS == second[0].offset_ms
    assert sum(chunk.duration_ms for chunk in second) == 80 + SENTENCE_PAUSE_MS
    assert second[0].text_start == 4
    assert first[-1].text_end == 4


def test_a_voice_without_words_still_tells_about_where_it_is() -> None:
    chunks = speak(
        AudioChunker(),
        Fragment("hello wonderful world", 0, ends_sentence=True),
        [VoiceAudio(audio(2000)[: 1400 * BYTES_PER_MS])],
    )
    ends = [chunk.text_end for chunk in chunks]
    assert ends == sorted(ends)
    assert ends[0] < 5
    assert ends[-1] == 21


def test_a_voice_that_is_silent_first_has_said_nothing_yet() -> None:
    silent = VoiceAudio(audio(2000)[: 400 * BYTES_PER_MS], (), (WordCue(0, 0, 0),))
    spoken = VoiceAudio(audio(2000)[: 400 * BYTES_PER_MS], (), (WordCue(420, 0, 5),))
    chunks = speak(
        AudioChunker(), Fragment("hello world", 100, ends_sentence=True), [silent, spoken]
    )
    assert {(chunk.text_start, chunk.text_end) for chunk in chunks if chunk.offset_ms < 400} == {
        (100, 100)
    }
    assert [chunk.text_end for chunk in chunks if chunk.offset_ms >= 400][:2] == [105, 105]


def test_a_voice_that_broke_off_has_not_said_its_last_words() -> None:
    cutter, fragment = AudioChunker(), Fragment("one two three", 10, ends_sentence=True)
    cutter.begin(fragment)
    made = cutter.feed(
        VoiceAudio(audio(200)[: 200 * BYTES_PER_MS], (), (WordCue(0, 0, 3), WordCue(100, 4, 7)))
    )
    made += cutter.end(whole=False)
    assert made[-1].text_end == 17
    assert sum(chunk.duration_ms for chunk in made) == 200 + fragment.pause_ms
    assert (
        speak(cutter, fragment, [VoiceAudio(audio(200)[: 200 * BYTES_PER_MS])])[-1].text_end
        == fragment.end
    )


def test_a_fragment_without_sound_makes_no_chunk() -> None:
    assert speak(AudioChunker(), Fragment("…", 0, ends_sentence=True), []) == []


def test_a_chunk_is_usually_40_ms() -> None:
    chunks = speak(
        AudioChunker(),
        Fragment("x", 0, ends_sentence=True),
        [VoiceAudio(audio(400)[: 400 * BYTES_PER_MS])],
    )
    assert {chunk.duration_ms for chunk in chunks} == {CHUNK_MS}
