"""chart.py - the latencies of a benchmark as a picture (SVG).

usage: chart.py FILE [OUTPUT]

FILE is what bench.py --json wrote. Without OUTPUT the picture goes to the standard output. bench.py --chart draws the
same picture at the end of its run. What was not measured has no bar.
"""
import html
import json
import sys

WIDTH, LEFT, RIGHT = 860, 290, 100
BAR, GAP, TITLE = 20, 6, 34
TOP, BOTTOM = 52, 46
OURS, OTHER = "ours", "other"
STYLE = """
  .page { fill: #ffffff; }
  .text { fill: #1f2328; }
  .soft { fill: #59636e; font-size: 12px; }
  .head { font-weight: 600; }
  .end { text-anchor: end; }
  .ours { fill: #0969da; }
  .other { fill: #afb8c1; }
  .late { stroke: #59636e; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; }
    .text { fill: #f0f6fc; }
    .soft { fill: #b1bac4; }
    .ours { fill: #4493f8; }
    .other { fill: #656c76; }
    .late { stroke: #b1bac4; }
  }
"""


def groups(result):
    """[title, [(label, kind, p50, p95)]]: what is compared with what, in ms."""
    latency = {row["way"]: row for row in result["latency"]}
    node_js = {row["way"]: row for row in result["node_js"] if row["clients"] == 1}
    nodes = {row["way"]: row for row in result["nodes"]}
    languages = {row["what"]: row for row in result["languages"]}

    def bar(label, kind, row, key="p50_ms"):
        return label, kind, (row or {}).get(key), (row or {}).get("p95_ms") if key == "p50_ms" else None

    every = [
        ("Python: print(1)", [
            bar("Cellblock, over HTTPS", OURS, latency.get("tls")),
            bar("python3 -c, without a sandbox", OTHER, latency.get("usual")),
            bar("python3 -c in bubblewrap", OTHER, latency.get("bwrap_usual"))]),
        ("Node.js: console.log(1)", [
            bar("Cellblock, over HTTPS", OURS, node_js.get("node_tls")),
            bar("node -e, without a sandbox", OTHER, node_js.get("node_bare"))]),
        ("bash: echo hello", [
            bar("Cellblock, over HTTP", OURS, languages.get("bash"), "known_ms"),
            bar("bash, without a sandbox", OTHER, languages.get("bash"), "bare_ms")]),
        ("C: a program that was compiled before", [
            bar("Cellblock, over HTTP", OURS, languages.get("c"), "known_ms"),
            bar("without a sandbox", OTHER, languages.get("c"), "bare_ms")]),
        ("Dify's template node (Jinja2)", [
            bar("Cellblock, over HTTPS", OURS, nodes.get("jinja2_hot")),
            bar("python3, without a sandbox", OTHER, nodes.get("jinja2_hot"), "cold_p50_ms")]),
    ]
    measured = [(title, [one for one in bars if one[2] is not None]) for title, bars in every]
    return [(title, bars) for title, bars in measured if any(kind == OURS for _, kind, _, _ in bars)]


def number(value):
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def text(x, y, kind, words):
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(words)}</text>'


def draw(result):
    """The picture, as the text of an SVG file."""
    found = groups(result)
    if not found:
        raise ValueError("no latency of Cellblock was measured")
    most = max(value for _, bars in found for one in bars for value in one[2:] if value is not None)
    scale = (WIDTH - LEFT - RIGHT) / most
    machine = result["machine"]
    lines, y = [], TOP
    for title, bars in found:
        lines.append(text(16, y + TITLE - 14, "text head", title))
        y += TITLE
        for label, kind, middle, late in bars:
            base = y + BAR - 6
            lines.append(text(LEFT - 10, base, "text end", label))
            lines.append(f'<rect x="{LEFT}" y="{y}" width="{max(1, middle * scale):.1f}" height="{BAR}" rx="2" class="{kind}"/>')
            end = LEFT + middle * scale
            if late is not None and late > middle:
                lines.append(f'<line x1="{end:.1f}" y1="{y + BAR / 2:g}" x2="{LEFT + late * scale:.1f}" y2="{y + BAR / 2:g}" class="late"/>')
                end = LEFT + late * scale
            lines.append(text(round(end + 8, 1), base, "text", number(middle)))
            y += BAR + GAP
    height = y + BOTTOM
    load = result["load_average"]
    about = (f"{machine['cpus']} x {machine['cpu']}, Linux {machine['kernel']}, {machine['version']}; load average {load[0]:.1f} to {load[1]:.1f}; "
             f"{result['when'][:10]}")
    described = "; ".join(f"{title}: " + ", ".join(f"{label} {number(middle)}" for label, _, middle, _ in bars) for title, bars in found)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d"',
        '     font-family="system-ui, \'DejaVu Sans\', Helvetica, Arial, sans-serif" font-size="14">',
        '<title id="t">How long a program takes</title>', f'<desc id="d">{html.escape(described)}</desc>', f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" class="page"/>',
        text(16, 28, "text head", "From the request to the whole reply: the median; a line leads to 95 %"),
        *lines, text(16, height - 18, "soft", about), "</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: chart.py FILE [OUTPUT]")
    with open(sys.argv[1], encoding="utf-8") as file:
        picture = draw(json.load(file))
    if len(sys.argv) == 2:
        sys.stdout.write(picture)
    else:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(picture)


if __name__ == "__main__":
    main()
