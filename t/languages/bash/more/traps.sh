trap 'echo "at exit $?"' EXIT
trap 'echo got USR1' USR1
trap 'echo "error in line $LINENO"' ERR
kill -USR1 $$
false
(trap 'echo "subshell ends"' EXIT)
echo done
