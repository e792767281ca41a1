# conf.sh - reads what nginx must know from a directory of configuration. For script/server and
# script/cellblock-site.

# largest_reply CONF - the size of the largest reply, as nginx writes sizes: four times the largest
# output_bytes.maximum of cellblock.conf and the languages (stdout and stderr, each with escapes),
# twice files.collect_bytes, and 10 MiB for a compiler's output, names of files and all else
largest_reply() {
	local output collected

	collected=$(sed -n 's/#.*//; s/^[[:space:]]*collect_bytes *[=:] *\([0-9]*\).*/\1/p' "$1/cellblock.conf" | tail -n 1)
	output=$(sed 's/#.*//; s|//.*||' "$1/cellblock.conf" "$1"/languages/*.conf | tr '\n' ' ' |
		grep -o 'output_bytes *[=:] *{[^}]*}' | sed -n 's/.*maximum *[=:] *\([0-9]*\).*/\1/p' | sort -n | tail -n 1)
	printf %dk $((${output:-67108864} * 4 / 1024 + ${collected:-16777216} * 2 / 1024 + 10240))
}

# adapter_paths CONF - a regular expression of the paths of the protocols of other services that
# cellblock.conf switches on, or nothing
adapter_paths() {
	local protocol paths=()

	for protocol in $(sed -n 's/^[[:space:]]*protocols *= *\[\([^]#]*\)\].*/\1/p' "$1/cellblock.conf" | tr -cs 'a-z' ' '); do
		case $protocol in
		piston) paths+=('api/v2/(?:piston/)?(?:runtimes|execute|packages|connect)') ;;
		sandboxfusion) paths+=('run_code|v1/ping') ;;
		jobe) paths+=('jobe/index\.php/restapi/(?:languages|runs|files/[A-Za-z0-9]+)') ;;
		esac
	done
	(IFS='|' && printf %s "${paths[*]}")
}

# metrics_lines ADDRESS... - the lines of nginx's configuration that let these read the metrics
metrics_lines() {
	(($# == 0)) || printf 'allow %s;\n\t\t' "$@"
}

# page_origins CONF - the lines of nginx's map from an origin to the one that its pages may see in
# answers: those of worker.cors in cellblock.conf
page_origins() {
	local origin lines='default "";'

	while read -r origin; do
		[[ $origin != '*' ]] || lines='default *; "" "";'
		[[ ! $origin =~ ^[a-z][a-z0-9+.-]*://[A-Za-z0-9.:_-]+$ ]] || lines+=" \"$origin\" \"$origin\";"
	done < <(sed 's/^[[:space:]]*#.*//' "$1/cellblock.conf" | tr '\n' ' ' |
		sed -n 's/.*[[:space:]]cors *[=:] *\[\([^]]*\)\].*/\1/p' | tr ',' '\n' | sed 's/[[:space:]"]//g'; echo)
	printf %s "$lines"
}
