# SECONDS counts from the start of the program.
(( SECONDS < 2 )) && echo "new"
echo "$0 $# $$ ${BASH_SOURCE[0]} $LINENO"
