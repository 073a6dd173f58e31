

# Serves whoever connects to the socket that stands in for standard input, any number at a time.

import signal
import socket

listener = socket.socket(fileno=os.dup(0))
# Nobody asks how they end.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    peer, _ = listener.accept()
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        os.dup2(peer.fileno(), 0)
        os.dup2(peer.fileno(), 1)
        peer.close()
        become_borg(["serve"])
    peer.close()
