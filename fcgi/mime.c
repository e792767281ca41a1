/* mime.c - see mime.h. Runs in the worker, over names and contents that a program chose. */
#define _GNU_SOURCE
#include "mime.h"

#include <string.h>
#include <strings.h>

/* The bytes at a place of the content. A later row is looked at only if no earlier one fits. */
static const struct {
	size_t at;
	struct text bytes;
	const char *type;
} magic[] = {
	{ 0, { "\x89PNG\r\n\x1a\n", 8 }, "image/png" },
	{ 0, { "\xff\xd8\xff", 3 }, "image/jpeg" },
	{ 0, { "GIF8", 4 }, "image/gif" },
	{ 8, { "WEBP", 4 }, "image/webp" },
	{ 8, { "WAVE", 4 }, "audio/wav" },
	{ 0, { "%PDF-", 5 }, "application/pdf" },
	{ 0, { "\x1f\x8b", 2 }, "application/gzip" },
	{ 0, { "BZh", 3 }, "application/x-bzip2" },
	{ 0,
	    { "\xfd"
	      "7zXZ\0",
	        6 },
	    "application/x-xz" },
	{ 0, { "SQLite format 3\0", 16 }, "application/vnd.sqlite3" },
	{ 4, { "ftyp", 4 }, "video/mp4" },
	{ 0, { "OggS", 4 }, "audio/ogg" },
};

static const struct {
	const char *extension, *type;
} extensions[] = {
	{ "bmp", "image/bmp" },
	{ "c", "text/x-c" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ipynb", "application/x-ipynb+json" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "jsonl", "application/jsonl" },
	{ "md", "text/markdown" },
	{ "mp3", "audio/mpeg" },
	{ "ndjson", "application/x-ndjson" },
	{ "parquet", "application/vnd.apache.parquet" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "py", "text/x-python" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "tsv", "text/tab-separated-values" },
	{ "txt", "text/plain" },
	{ "wasm", "application/wasm" },
	{ "webm", "video/webm" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
};

static const char *
by_extension(const struct text *path)
{
	const char *dot = memrchr(path->bytes, '.', path->size);
	size_t size = dot == NULL ? 0 : path->size - (size_t)(dot + 1 - path->bytes);

	for (size_t i = 0; dot != NULL && i < sizeof extensions / sizeof extensions[0]; i++) {
		if (strlen(extensions[i].extension) == size && strncasecmp(extensions[i].extension, dot + 1, size) == 0)
			return extensions[i].type;
	}
	return NULL;
}

const char *
mime_guess(const struct text *path, const struct text *content, bool is_text)
{
	const char *type;

	for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++) {
		if (content->size >= magic[i].at + magic[i].bytes.size &&
		    memcmp(content->bytes + magic[i].at, magic[i].bytes.bytes, magic[i].bytes.size) == 0)
			return magic[i].type;
	}
	type = by_extension(path);
	if (type != NULL)
		return type;
	return is_text ? "text/plain" : "application/octet-stream";
}
