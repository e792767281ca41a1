class Bye(SystemExit):
    pass


raise Bye(6)
