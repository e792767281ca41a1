exec 3>file
echo written >&3
exec 3>&-
cat file
exec <file
read -r line
echo "read $line"
exec echo "another program"
