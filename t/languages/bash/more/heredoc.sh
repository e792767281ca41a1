name=world
cat <<EOF
Hello $name
EOF
cat <<'EOF'
Hello $name
EOF
cat <<-EOF
	no tab
	EOF
cat <<<"a string"
# longer than the buffer of a pipe
for i in {1..20000}; do text+="line $i"$'\n'; done
wc -l <<EOF
$text
EOF
