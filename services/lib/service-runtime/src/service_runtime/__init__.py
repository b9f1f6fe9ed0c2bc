"""Code that every service process shares.

Modules are named after what they contain.
"""
