"""What every service process shares. Modules are named by what they hold."""
