/start/, /end/ { print NR ": " $0 }
END { exit }
