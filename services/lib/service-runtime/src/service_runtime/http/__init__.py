"""HTTP and WebSocket limits and clients that all services share.

Modules bound connections, heads, bodies and frames, and list the accepted host names.
"""
