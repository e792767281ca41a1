/*
 * checker_regex.c - see checker_regex.h. Runs in the worker, over untrusted input.
 *
 * A pattern becomes a list of instructions (Thompson's automaton). The jumps are relative, so a
 * part that is repeated is copied as it is. A match keeps the set of the instructions that wait for
 * the next character; each is in it once.
 */
#include "checker_regex.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MOST 50    /* groups, one in the other */
#define REPEAT_MOST 1000 /* in {m,n} */
#define RANGES_MOST 4096 /* of all classes */
#define NO_MOST UINT32_MAX
#define NOT_UTF8 UINT32_C(0x110000) /* and above: a byte that is no character */

enum op {
	OP_CHARACTER, /* `a` */
	OP_ANY,       /* all but a line break */
	OP_CLASS,     /* ranges `a` to `b` */
	OP_NOT_CLASS,
	OP_SPLIT, /* go on at both, relative to this one */
	OP_JUMP,  /* go on at `a` */
	OP_BEGIN, /* of a line */
	OP_END,
	OP_MATCH,
};

struct instruction {
	enum op op;
	int32_t a, b;
};

struct range {
	uint32_t first, last;
};

struct checker_regex {
	struct instruction *code;
	size_t size, capacity;
	struct range *range;
	size_t ranges;
};

struct parser {
	struct checker_regex *regex;
	const char *at, *end;
	const char *fault; /* NULL: none so far */
	unsigned depth;
};

/* ---- characters -------------------------------------------------------------------------------------------------- */

/*
 * The character at `p`, and its bytes in *used. A byte that does not begin one is a character of
 * its own above all others.
 */
static uint32_t
decode(const unsigned char *p, size_t left, size_t *used)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	*used = 1;
	if (length == 1)
		return p[0];
	if (length == 0 || length > left)
		return NOT_UTF8 + p[0];
	c = p[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return NOT_UTF8 + p[0];
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return NOT_UTF8 + p[0];
	*used = length;
	return c;
}

static uint32_t
take_character(struct parser *parser)
{
	size_t used;
	uint32_t c = decode((const unsigned char *)parser->at, (size_t)(parser->end - parser->at), &used);

	parser->at += used;
	return c;
}

/* ---- instructions ------------------------------------------------------------------------------------------------ */

static int
fail(struct parser *parser, const char *fault)
{
	if (parser->fault == NULL)
		parser->fault = fault;
	return -1;
}

/* Make room for `count` instructions at `at`, which come to be zero. */
static int
insert(struct parser *parser, size_t at, size_t count)
{
	struct checker_regex *regex = parser->regex;

	if (count > CHECKER_REGEX_STATES - regex->size)
		return fail(parser, "is too large a pattern, with its repetitions");
	if (regex->size + count > regex->capacity) {
		size_t capacity = 2 * (regex->size + count);
		struct instruction *code = realloc(regex->code, capacity * sizeof *code);

		if (code == NULL)
			return fail(parser, "is a pattern for which there is no memory");
		regex->code = code;
		regex->capacity = capacity;
	}
	memmove(regex->code + at + count, regex->code + at, (regex->size - at) * sizeof *regex->code);
	memset(regex->code + at, 0, count * sizeof *regex->code);
	regex->size += count;
	return 0;
}

static int
put(struct parser *parser, enum op op, int32_t a, int32_t b)
{
	if (insert(parser, parser->regex->size, 1) != 0)
		return -1;
	parser->regex->code[parser->regex->size - 1] = (struct instruction){ op, a, b };
	return 0;
}

static int
put_in_front(struct parser *parser, size_t at, enum op op, int32_t a, int32_t b)
{
	if (insert(parser, at, 1) != 0)
		return -1;
	parser->regex->code[at] = (struct instruction){ op, a, b };
	return 0;
}

static int
add_range(struct parser *parser, uint32_t first, uint32_t last)
{
	struct checker_regex *regex = parser->regex;

	if (first > last)
		return fail(parser, "has a range of characters in a wrong order");
	if (regex->ranges == RANGES_MOST)
		return fail(parser, "has too many ranges of characters");
	regex->range[regex->ranges++] = (struct range){ first, last };
	return 0;
}

/* ---- atoms ------------------------------------------------------------------------------------------------------- */

/* The ranges of \d, \w and \s, in ASCII. Returns how many. */
static size_t
named_class(int letter, struct range *range)
{
	static const struct range digits[] = { { '0', '9' } };
	static const struct range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
	static const struct range spaces[] = { { '\t', '\r' }, { ' ', ' ' } };
	const struct range *found = letter == 'd' ? digits : letter == 'w' ? words : spaces;
	size_t count = letter == 'd' ? 1 : letter == 'w' ? 4 : 2;

	memcpy(range, found, count * sizeof *range);
	return count;
}

static bool
is_class_letter(uint32_t c)
{
	return c < 0x80 && c != 0 && strchr("dwsDWS", (int)c) != NULL;
}

/*
 * The character of \n and its like. Any other that is neither letter nor digit stands for itself.
 */
static int
escaped(struct parser *parser, uint32_t c, uint32_t *meant)
{
	static const char letters[] = "nrtfv0", means[] = "\n\r\t\f\v\0";
	const char *at = c < 0x80 && c != 0 ? strchr(letters, (int)c) : NULL;

	*meant = at != NULL ? (unsigned char)means[at - letters] : c;
	return at == NULL && c < 0x80 && isalnum((int)c) ? fail(parser, "has a \\ before a letter or digit that means nothing") :
	                                                   0;
}

/* The rest of what follows a \ outside of brackets. */
static int
parse_escape(struct parser *parser)
{
	size_t first = parser->regex->ranges, count;
	struct range range[4];
	uint32_t c;

	if (parser->at == parser->end)
		return fail(parser, "ends in a \\");
	c = take_character(parser);
	if (!is_class_letter(c))
		return escaped(parser, c, &c) != 0 ? -1 : put(parser, OP_CHARACTER, (int32_t)c, 0);
	count = named_class(tolower((int)c), range);
	for (size_t i = 0; i < count; i++) {
		if (add_range(parser, range[i].first, range[i].last) != 0)
			return -1;
	}
	return put(parser, isupper((int)c) ? OP_NOT_CLASS : OP_CLASS, (int32_t)first, (int32_t)parser->regex->ranges);
}

/* One character in brackets, or a class like \d: then *is_class. */
static int
parse_member(struct parser *parser, uint32_t *c, bool *is_class)
{
	struct range range[4];
	size_t count;

	*is_class = false;
	*c = take_character(parser);
	if (*c != '\\')
		return 0;
	if (parser->at == parser->end)
		return fail(parser, "has a [ without its ]");
	*c = take_character(parser);
	if (!is_class_letter(*c))
		return escaped(parser, *c, c);
	if (isupper((int)*c))
		return fail(parser, "has \\D, \\W or \\S in brackets");
	*is_class = true;
	count = named_class((int)*c, range);
	for (size_t i = 0; i < count; i++) {
		if (add_range(parser, range[i].first, range[i].last) != 0)
			return -1;
	}
	return 0;
}

static int
parse_class(struct parser *parser)
{
	size_t first = parser->regex->ranges;
	bool is_not = parser->at < parser->end && *parser->at == '^', is_class;
	uint32_t low, high;

	parser->at += is_not;
	for (bool is_first = true; parser->at < parser->end && (*parser->at != ']' || is_first); is_first = false) {
		if (parse_member(parser, &low, &is_class) != 0)
			return -1;
		high = low;
		if (!is_class && parser->end - parser->at >= 2 && parser->at[0] == '-' && parser->at[1] != ']') {
			parser->at++;
			if (parse_member(parser, &high, &is_class) != 0)
				return -1;
			if (is_class)
				return fail(parser, "has a range of characters with a class at its end");
		}
		if (!is_class && add_range(parser, low, high) != 0)
			return -1;
	}
	if (parser->at == parser->end)
		return fail(parser, "has a [ without its ]");
	parser->at++;
	return put(parser, is_not ? OP_NOT_CLASS : OP_CLASS, (int32_t)first, (int32_t)parser->regex->ranges);
}

static int parse_choice(struct parser *parser);

static int
parse_group(struct parser *parser)
{
	int parsed;

	if (++parser->depth > DEPTH_MOST)
		return fail(parser, "has too many groups, one in the other");
	if (parser->at < parser->end && *parser->at == '?') {
		if (parser->end - parser->at < 2 || parser->at[1] != ':')
			return fail(parser, "has a (? that is no (?:");
		parser->at += 2;
	}
	parsed = parse_choice(parser);
	parser->depth--;
	if (parsed != 0)
		return -1;
	if (parser->at == parser->end)
		return fail(parser, "has a ( without its )");
	parser->at++;
	return 0;
}

static int
parse_atom(struct parser *parser)
{
	uint32_t c = take_character(parser);

	switch (c) {
	case '(':
		return parse_group(parser);
	case '[':
		return parse_class(parser);
	case '\\':
		return parse_escape(parser);
	case '.':
		return put(parser, OP_ANY, 0, 0);
	case '^':
		return put(parser, OP_BEGIN, 0, 0);
	case '$':
		return put(parser, OP_END, 0, 0);
	case '*':
	case '+':
	case '?':
	case '{':
		return fail(parser, "has a repetition of nothing");
	default:
		return put(parser, OP_CHARACTER, (int32_t)c, 0);
	}
}

/* ---- repetitions ------------------------------------------------------------------------------------------------- */

static int
parse_number(struct parser *parser, uint32_t *number)
{
	*number = 0;
	if (parser->at == parser->end || !isdigit((unsigned char)*parser->at))
		return fail(parser, "has a { that begins no {m}, {m,} or {m,n}");
	for (; parser->at < parser->end && isdigit((unsigned char)*parser->at); parser->at++) {
		*number = *number * 10 + (uint32_t)(*parser->at - '0');
		if (*number > REPEAT_MOST)
			return fail(parser, "has a repetition of more than 1000 times");
	}
	return 0;
}

/* How often what came before may be there; behind its sign. */
static int
parse_counts(struct parser *parser, uint32_t *least, uint32_t *most)
{
	char sign = *parser->at++;

	*least = sign == '+';
	*most = sign == '?' ? 1 : NO_MOST;
	if (sign != '{')
		return 0;
	if (parse_number(parser, least) != 0)
		return -1;
	*most = *least;
	if (parser->at < parser->end && *parser->at == ',') {
		parser->at++;
		*most = NO_MOST;
		if (parser->at < parser->end && *parser->at != '}' && parse_number(parser, most) != 0)
			return -1;
	}
	if (parser->at == parser->end || *parser->at != '}')
		return fail(parser, "has a { that begins no {m}, {m,} or {m,n}");
	parser->at++;
	return *least <= *most ? 0 : fail(parser, "has a repetition {m,n} in a wrong order");
}

/* Append a copy of the instructions from `at` on. */
static int
append_copy(struct parser *parser, const struct instruction *copy, size_t size)
{
	size_t at = parser->regex->size;

	if (insert(parser, at, size) != 0)
		return -1;
	memcpy(parser->regex->code + at, copy, size * sizeof *copy);
	return 0;
}

/* One more time, which need not be there. */
static int
append_option(struct parser *parser, const struct instruction *copy, size_t size)
{
	return put(parser, OP_SPLIT, 1, (int32_t)size + 1) != 0 ? -1 : append_copy(parser, copy, size);
}

static int
append_loop(struct parser *parser, const struct instruction *copy, size_t size)
{
	if (put(parser, OP_SPLIT, 1, (int32_t)size + 2) != 0 || append_copy(parser, copy, size) != 0)
		return -1;
	return put(parser, OP_JUMP, -(int32_t)size - 1, 0);
}

/* Repeat the instructions from `start` on. */
static int
repeat(struct parser *parser, size_t start, uint32_t least, uint32_t most)
{
	size_t size = parser->regex->size - start;
	struct instruction *copy;
	int failed = 0;

	if (size == 0)
		return 0; /* an empty group, which repeated is the same */
	copy = malloc(size * sizeof *copy);
	if (copy == NULL)
		return fail(parser, "is a pattern for which there is no memory");
	memcpy(copy, parser->regex->code + start, size * sizeof *copy);
	parser->regex->size = start;
	for (uint32_t i = 0; i < least && failed == 0; i++)
		failed = append_copy(parser, copy, size);
	if (most == NO_MOST && failed == 0)
		failed = append_loop(parser, copy, size);
	for (uint32_t i = least; most != NO_MOST && i < most && failed == 0; i++)
		failed = append_option(parser, copy, size);
	free(copy);
	return failed;
}

/* ---- sequences and choices --------------------------------------------------------------------------------------- */

static bool
is_repetition(char c)
{
	return c == '*' || c == '+' || c == '?' || c == '{';
}

static int
parse_sequence(struct parser *parser)
{
	while (parser->at < parser->end && *parser->at != '|' && (*parser->at != ')' || parser->depth == 0)) {
		size_t start = parser->regex->size;
		uint32_t least, most;

		if (*parser->at == ')')
			return fail(parser, "has a ) without its (");
		if (parse_atom(parser) != 0)
			return -1;
		if (parser->at < parser->end && is_repetition(*parser->at)) {
			if (parse_counts(parser, &least, &most) != 0 || repeat(parser, start, least, most) != 0)
				return -1;
			if (parser->at < parser->end && is_repetition(*parser->at))
				return fail(parser, "has two repetitions, one behind the other");
		}
	}
	return 0;
}

static int
parse_choice(struct parser *parser)
{
	size_t start = parser->regex->size, middle;

	if (parse_sequence(parser) != 0)
		return -1;
	while (parser->at < parser->end && *parser->at == '|') {
		parser->at++;
		/* The part before, and a jump over the part behind. */
		if (put_in_front(parser, start, OP_SPLIT, 1, (int32_t)(parser->regex->size - start) + 2) != 0 ||
		    put(parser, OP_JUMP, 0, 0) != 0)
			return -1;
		middle = parser->regex->size;
		if (parse_sequence(parser) != 0)
			return -1;
		parser->regex->code[middle - 1].a = (int32_t)(parser->regex->size - middle) + 1;
	}
	return 0;
}

const char *
checker_regex_compile(const struct text *pattern, struct checker_regex **regex)
{
	struct parser parser = { .at = pattern->bytes, .end = pattern->bytes + pattern->size };

	*regex = NULL;
	if (pattern->size > CHECKER_REGEX_BYTES)
		return "is too long a pattern";
	parser.regex = calloc(1, sizeof *parser.regex);
	if (parser.regex != NULL)
		parser.regex->range = malloc(RANGES_MOST * sizeof *parser.regex->range);
	if (parser.regex == NULL || parser.regex->range == NULL) {
		checker_regex_free(parser.regex);
		return "is a pattern for which there is no memory";
	}
	if (parse_choice(&parser) != 0 || put(&parser, OP_MATCH, 0, 0) != 0) {
		checker_regex_free(parser.regex);
		return parser.fault;
	}
	*regex = parser.regex;
	return NULL;
}

void
checker_regex_free(struct checker_regex *regex)
{
	if (regex == NULL)
		return;
	free(regex->code);
	free(regex->range);
	free(regex);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

/* The instructions that wait for the next character, and how they are found. */
struct states {
	uint32_t *list;
	size_t count;
	uint32_t *seen; /* of each instruction: the position at which it was last found */
	uint32_t *stack;
	bool has_match;
	uint64_t steps;
};

/* Where a text is: what lies around. */
struct place {
	uint32_t turn; /* from 1 */
	bool begins_line, ends_line;
};

/* Follow an instruction to those that wait for a character. */
static void
follow(const struct checker_regex *regex, struct states *states, const struct place *place, uint32_t from)
{
	size_t depth = 0;

	states->stack[depth++] = from;
	while (depth > 0) {
		uint32_t at = states->stack[--depth];
		const struct instruction *instruction = &regex->code[at];

		states->steps++;
		if (states->seen[at] == place->turn)
			continue;
		states->seen[at] = place->turn;
		switch (instruction->op) {
		case OP_SPLIT:
			states->stack[depth++] = (uint32_t)((int32_t)at + instruction->b);
			states->stack[depth++] = (uint32_t)((int32_t)at + instruction->a);
			break;
		case OP_JUMP:
			states->stack[depth++] = (uint32_t)((int32_t)at + instruction->a);
			break;
		case OP_BEGIN:
			if (place->begins_line)
				states->stack[depth++] = at + 1;
			break;
		case OP_END:
			if (place->ends_line)
				states->stack[depth++] = at + 1;
			break;
		case OP_MATCH:
			states->has_match = true;
			break;
		case OP_CHARACTER:
		case OP_ANY:
		case OP_CLASS:
		case OP_NOT_CLASS:
			states->list[states->count++] = at;
			break;
		}
	}
}

static bool
takes(const struct checker_regex *regex, const struct instruction *instruction, uint32_t c, uint64_t *steps)
{
	bool is_in = false;

	if (instruction->op == OP_CHARACTER)
		return (uint32_t)instruction->a == c;
	if (instruction->op == OP_ANY)
		return c != '\n';
	*steps += (uint64_t)(instruction->b - instruction->a);
	for (int32_t i = instruction->a; i < instruction->b && !is_in; i++)
		is_in = regex->range[i].first <= c && c <= regex->range[i].last;
	return is_in == (instruction->op == OP_CLASS);
}

static enum regex_match
match(const struct checker_regex *regex, const struct text *text, struct states *states, uint32_t *before)
{
	struct place place = { .turn = 1, .begins_line = true, .ends_line = text->size == 0 || text->bytes[0] == '\n' };
	size_t at = 0;

	follow(regex, states, &place, 0);
	while (at < text->size) {
		uint32_t *list = states->list;
		size_t count = states->count, used;
		uint32_t c = decode((const unsigned char *)text->bytes + at, text->size - at, &used);

		if (count == 0)
			return REGEX_DIFFERS;
		if (states->steps > CHECKER_REGEX_STEPS)
			return REGEX_TOO_LONG;
		at += used;
		place.turn++;
		place.begins_line = c == '\n';
		place.ends_line = at == text->size || text->bytes[at] == '\n';
		states->list = before;
		states->count = 0;
		states->has_match = false;
		before = list;
		for (size_t i = 0; i < count; i++) {
			states->steps++;
			if (takes(regex, &regex->code[list[i]], c, &states->steps))
				follow(regex, states, &place, list[i] + 1);
		}
	}
	return states->has_match ? REGEX_MATCHES : REGEX_DIFFERS;
}

enum regex_match
checker_regex_match(const struct checker_regex *regex, const struct text *text)
{
	size_t size = regex->size;
	/*
	 * Two lists, what was seen, and a stack of twice the size: each instruction puts two on it.
	 */
	uint32_t *memory = calloc(5 * size + 2, sizeof *memory);
	struct states states = { .list = memory };
	enum regex_match found;

	if (memory == NULL || text->size >= UINT32_MAX - 1) {
		free(memory);
		return REGEX_TOO_LONG;
	}
	states.seen = memory + 2 * size;
	states.stack = memory + 3 * size;
	found = match(regex, text, &states, memory + size);
	free(memory);
	return found;
}
