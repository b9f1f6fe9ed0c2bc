"""The one public address: the page, and a proxy that passes bytes on as they come."""
