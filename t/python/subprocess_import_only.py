# Modules that could start processes are importable and inspectable without starting one.
import multiprocessing
import subprocess
print(multiprocessing.current_process().name, multiprocessing.parent_process(), subprocess.PIPE, multiprocessing.active_children())
