print("printed")
raise KeyboardInterrupt
