/*
 * engine.cc - see engine.h. start.c loads it into Node. It is built against the headers of that
 * Node.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include <node.h>
#include <node_version.h>
#include <uv.h>

#include "guest/nodejs/engine.h"
#include "guest/nodejs/worker_tasks.h"
#include "messages.h"

#define UNSETTLED_TOP_LEVEL_AWAIT 13 /* an exit code of Node */
#define EXIT_OUT_OF_MEMORY 127

namespace {

using v8::Context;
using v8::Function;
using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::Object;
using v8::String;
using v8::Value;

/* This code runs inside Node's open(2) of the program: on its main thread, in its main context. */
Isolate *isolate;
void (*end_program)(int status) = _exit; /* in a guest: guest_end */
node::MultiIsolatePlatform *platform;
v8::Global<Function> *guest_function; /* the function that driver.js returns */

Local<String>
text_of(const char *text, size_t size)
{
	return String::NewFromUtf8(isolate, text, v8::NewStringType::kNormal, (int)size).ToLocalChecked();
}

Local<String>
text_of(const char *text)
{
	return text_of(text, strlen(text));
}

Local<Context>
context()
{
	return isolate->GetCurrentContext();
}

/* Returns a property, or undefined if there is none. */
Local<Value>
get(Local<Object> object, const char *name)
{
	Local<Value> value;

	if (!object->Get(context(), text_of(name)).ToLocal(&value))
		value = v8::Undefined(isolate);
	return value;
}

/* Call a method. Ignores exceptions and a missing method: their effect shows later. */
void
call(Local<Object> object, const char *name, int count = 0, Local<Value> *arguments = nullptr)
{
	Local<Value> method = get(object, name);

	if (method->IsFunction())
		method.As<Function>()->Call(context(), object, count, arguments).FromMaybe(Local<Value>());
}

void
set(Local<Object> object, uint32_t index, Local<Value> value)
{
	object->Set(context(), index, value).FromMaybe(false);
}

void
remove(Local<Object> object, Local<Value> key)
{
	object->Delete(context(), key).FromMaybe(false);
}

Local<Object>
process()
{
	return get(context()->Global(), "process").As<Object>();
}

/* ---- the end ------------------------------------------------------------------------------------- */

/* For process.exit() and uncaught exceptions. The end of the process cleans up everything. */
void
exit_at_once(node::Environment *, int code)
{
	end_program(code);
}

/*
 * Does the main module still wait on its top level? Up to Node 20 process.exitCode shows that.
 * Later versions have only a function for it, which prints a warning that has been printed already.
 */
bool
waits_for_ever()
{
	typedef v8::Maybe<bool> (*is_settled)(node::Environment *);
	is_settled check = (is_settled)dlsym(RTLD_DEFAULT, "_ZNK4node11Environment27CheckUnsettledTopLevelAwaitEv");
	int null = check == nullptr ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

	return null >= 0 && dup2(null, STDERR_FILENO) >= 0 && !check(node::GetCurrentEnvironment(context())).FromMaybe(true);
}

/* The event loop is empty, and 'exit' was emitted. */
void
exit_at_end(void *)
{
	Isolate::AllowJavascriptExecutionScope allow(isolate);
	HandleScope scope(isolate);
	v8::TryCatch caught(isolate);
	Local<Value> code = get(process(), "exitCode");

	if (code->IsUndefined() && NODE_MAJOR_VERSION > 20 && waits_for_ever())
		_exit(UNSETTLED_TOP_LEVEL_AWAIT);
	end_program(code->Int32Value(context()).FromMaybe(0));
}

/* V8 got no memory and would abort. That is the memory limit. */
#if NODE_MAJOR_VERSION < 20
void
out_of_memory(const char *, bool)
#else
void
out_of_memory(const char *, const v8::OOMDetails &)
#endif
{
	raise(GUEST_OUT_OF_MEMORY);
	_exit(EXIT_OUT_OF_MEMORY);
}

size_t
raise_heap_limit(void *, size_t current, size_t)
{
	return current * 2;
}

/* ---- random numbers ------------------------------------------------------------------------------ */

/*
 * The first call of Math.random() in a context takes its seed from a generator. A fork copies the
 * generator's state, so all children of a zygote would get the same numbers. The state begins with
 * the seed, and V8 has a function that seeds it again. (OpenSSL does that itself when the pid
 * changes.)
 */
struct Generator {
	int64_t seed;
	int64_t state[2];
};

#define GENERATORS_MAX 8

void (*set_seed)(Generator *, int64_t);
Generator *generator[GENERATORS_MAX];
size_t generators;

bool
seed()
{
	int64_t number[GENERATORS_MAX];

	if (getrandom(number, sizeof number, 0) != (ssize_t)sizeof number)
		return false;
	for (size_t i = 0; i < generators; i++)
		set_seed(generator[i], number[i]);
	return true;
}

/* ---- the zygote ---------------------------------------------------------------------------------- */

std::string
read_file(const char *path)
{
	std::string text;
	char part[4096];
	FILE *file = fopen(path, "re");
	size_t n;

	while (file != nullptr && (n = fread(part, 1, sizeof part, file)) > 0)
		text.append(part, n);
	if (file != nullptr)
		fclose(file);
	return text;
}

Local<Function>
compile(const char *text, size_t size, size_t count, Local<String> *names)
{
	v8::ScriptCompiler::Source source(text_of(text, size));
	Local<Function> function;

	if (!v8::ScriptCompiler::CompileFunction(context(), &source, count, names).ToLocal(&function))
		return Local<Function>();
	return function;
}

/* For driver.js: run one turn of the event loop, without waiting. */
void
turn(const v8::FunctionCallbackInfo<Value> &)
{
	uv_run(node::GetCurrentEventLoop(isolate), UV_RUN_NOWAIT);
}

void (*warn_log)(const char *text);

/* For driver.js: write a line to the log. */
void
warn(const v8::FunctionCallbackInfo<Value> &call)
{
	String::Utf8Value text(isolate, call[0]);

	warn_log(*text == nullptr ? "?" : *text);
}

/* ---- require.cache ------------------------------------------------------------------------------- */

/*
 * Is JavaScript of Node's loader of modules running? A program that looks into require.cache itself
 * must not find a module there that it has not required.
 */
bool
is_called_by_loader()
{
	Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, 1, v8::StackTrace::kScriptName);

	if (trace->GetFrameCount() == 0)
		return false;

	String::Utf8Value name(isolate, trace->GetFrame(isolate, 0)->GetScriptName());

	return *name != nullptr && strcmp(*name, "node:internal/modules/cjs/loader") == 0;
}

/* V8 from 12.4 on wants to know whether a function has intercepted an access. */
#if NODE_MAJOR_VERSION >= 22
typedef v8::Intercepted intercepted;
#define INTERCEPTED v8::Intercepted::kYes
#define NOT_INTERCEPTED v8::Intercepted::kNo
#else
typedef void intercepted;
#define INTERCEPTED
#define NOT_INTERCEPTED
#endif

/* A module is looked for that is not in the cache: it may be on the shelf. */
intercepted
look_on_shelf(Local<v8::Name> file, const v8::PropertyCallbackInfo<Value> &info)
{
	Local<Value> argument[] = { file }, module;

	if (!is_called_by_loader() ||
	    !info.Data().As<Function>()->Call(context(), v8::Undefined(isolate), 1, argument).ToLocal(&module) ||
	    module->IsUndefined())
		return NOT_INTERCEPTED;
	info.GetReturnValue().Set(module);
	return INTERCEPTED;
}

/*
 * For driver.js: an object like any other without a prototype. But the function in the first
 * argument is asked for the modules that are missing in it.
 */
void
watched(const v8::FunctionCallbackInfo<Value> &call)
{
	Local<v8::ObjectTemplate> pattern = v8::ObjectTemplate::New(isolate);
	Local<Object> cache;

	pattern->SetHandler(v8::NamedPropertyHandlerConfiguration(look_on_shelf, nullptr, nullptr, nullptr, nullptr, call[0],
	    (v8::PropertyHandlerFlags)(
	        (int)v8::PropertyHandlerFlags::kNonMasking | (int)v8::PropertyHandlerFlags::kOnlyInterceptStrings)));
	if (!pattern->NewInstance(context()).ToLocal(&cache))
		return;
	cache->SetPrototype(context(), v8::Null(isolate)).FromMaybe(false);
	call.GetReturnValue().Set(cache);
}

bool
prepare(const char *driver, void (*warn_fn)(const char *text), const char *imports, uint32_t count, char *error, size_t size)
{
	warn_log = warn_fn;
	isolate = Isolate::GetCurrent();
	HandleScope scope(isolate);

	if (get(get(process(), "versions").As<Object>(), "modules")->Int32Value(context()).FromMaybe(0) != NODE_MODULE_VERSION) {
		snprintf(error, size, "the driver was built for Node.js %d", NODE_MAJOR_VERSION);
		return false;
	}

	v8::TryCatch caught(isolate);
	std::string text = read_file(driver);
	Local<String> names[] = { text_of("process"), text_of("turn"), text_of("warn"), text_of("watched"), text_of("imports") };
	Local<Function> function = compile(text.data(), text.size(), 5, names), turn_loop, warn_function, watched_function;
	Local<v8::Array> list = v8::Array::New(isolate, (int)count);

	platform = node::GetMultiIsolatePlatform(node::GetCurrentEnvironment(context()));
	for (uint32_t i = 0; i < count; i++, imports += strlen(imports) + 1)
		set(list, i, text_of(imports));
	if (!function.IsEmpty() && Function::New(context(), turn).ToLocal(&turn_loop) &&
	    Function::New(context(), warn).ToLocal(&warn_function) &&
	    Function::New(context(), watched).ToLocal(&watched_function)) {
		Local<Value> arguments[] = { process(), turn_loop, warn_function, watched_function, list };

		Local<Value> result;

		if (function->Call(context(), v8::Undefined(isolate), 5, arguments).ToLocal(&result) && result->IsFunction())
			guest_function = new v8::Global<Function>(isolate, result.As<Function>());
	}
	if (caught.HasCaught()) {
		String::Utf8Value message(isolate, caught.Exception());

		snprintf(error, size, "driver.js: %.150s", *message == nullptr ? "?" : *message);
		return false;
	}
	return true;
}

const char *
version()
{
	static std::string text = *String::Utf8Value(isolate, get(process(), "version"));

	return text.c_str() + 1;
}

void
settle()
{
	HandleScope scope(isolate);
	v8::HeapCodeStatistics unused;

	platform->DrainTasks(isolate);
	isolate->LowMemoryNotification();
	isolate->LowMemoryNotification();
	isolate->GetHeapCodeAndMetadataStatistics(&unused); /* finishes sweeping */
	platform->DrainTasks(isolate);
}

/* ---- a child ------------------------------------------------------------------------------------- */

bool
enter_child()
{
	HandleScope scope(isolate);
	node::Environment *env = node::GetCurrentEnvironment(context());

	uv_loop_fork(node::GetCurrentEventLoop(isolate));
	replace_worker_threads(platform);
	node::SetProcessExitHandler(env, exit_at_once);
	node::AddEnvironmentCleanupHook(isolate, exit_at_end, nullptr);
	isolate->SetOOMErrorHandler(out_of_memory);
	isolate->AddNearHeapLimitCallback(raise_heap_limit, nullptr);
	process()
	    ->DefineOwnProperty(context(), text_of("pid"), v8::Integer::New(isolate, getpid()), v8::ReadOnly)
	    .FromMaybe(false);
	return seed();
}

/* ---- the clock ----------------------------------------------------------------------------------- */

/*
 * Node's start time, from which performance.now() and performance.timeOrigin count. Node 18 hides
 * it.
 */
#define START_TIMES_MAX 16

uint64_t *started;                        /* monotonic clock, in ns */
double *started_at;                       /* wall clock, in us */
uint64_t *start_copy[START_TIMES_MAX];    /* copies of `started` */
double *start_double[START_TIMES_MAX];    /* copies of it as a double */
double *started_at_copy[START_TIMES_MAX]; /* copies of `started_at` */
size_t start_copies, start_doubles, started_at_copies;

/*
 * A value on the heap is found by its contents. In a heap of a few MiB nothing else is likely to
 * have the same 64 bits.
 */
bool
search_heap(void *from, void *to, uint32_t seed_number)
{
	Generator *(*generator_of)(Isolate *) = (Generator * (*)(Isolate *))
	    dlsym(RTLD_DEFAULT, "_ZN2v88internal7Isolate23random_number_generatorEv");
	double as_double;

	set_seed = (void (*)(Generator *, int64_t))dlsym(RTLD_DEFAULT, "_ZN2v84base21RandomNumberGenerator7SetSeedEl");
	started = (uint64_t *)dlsym(RTLD_DEFAULT, "_ZN4node11performance25performance_process_startE");
	started_at = (double *)dlsym(RTLD_DEFAULT, "_ZN4node11performance35performance_process_start_timestampE");
	as_double = started == nullptr ? 0 : (double)*started;
	for (uint64_t *at = (uint64_t *)(((uintptr_t)from + 7) & ~(uintptr_t)7); at + 3 <= (uint64_t *)to; at++) {
		if (generator_of == nullptr && *at == seed_number && at[1] != 0 && at[2] != 0 && generators < GENERATORS_MAX)
			generator[generators++] = (Generator *)at;
		if (started == nullptr || started_at == nullptr)
			continue;
		if (memcmp(at, started, 8) == 0 && start_copies < START_TIMES_MAX)
			start_copy[start_copies++] = at;
		else if (memcmp(at, &as_double, 8) == 0 && start_doubles < START_TIMES_MAX)
			start_double[start_doubles++] = (double *)at;
		else if (memcmp(at, started_at, 8) == 0 && started_at_copies < START_TIMES_MAX)
			started_at_copy[started_at_copies++] = (double *)at;
	}
	if (generator_of != nullptr) /* up to V8 12 a function returns it */
		generator[generators++] = generator_of(isolate);
	v8::V8::SetFlagsFromString("--random-seed=0");
	return set_seed != nullptr && generators > 0;
}

/* Set Node's start time to now. */
void
start_clock()
{
	static uint64_t *node_start = (uint64_t *)dlsym(RTLD_DEFAULT, "_ZN4node11per_process15node_start_timeE");
	uint64_t now = uv_hrtime();
	struct timespec wall;

	if (node_start != nullptr)
		*node_start = now;
	if (started == nullptr || started_at == nullptr)
		return;
	clock_gettime(CLOCK_REALTIME, &wall);
	*started = now;
	*started_at = (double)wall.tv_sec * 1e6 + (double)wall.tv_nsec / 1e3;
	for (size_t i = 0; i < start_copies; i++)
		*start_copy[i] = now;
	for (size_t i = 0; i < start_doubles; i++)
		*start_double[i] = (double)now;
	for (size_t i = 0; i < started_at_copies; i++)
		*started_at_copy[i] = *started_at;
}

void
begin_guest(bool rehearses, void (*end)(int status))
{
	HandleScope scope(isolate);
	Local<Value> argument[] = { v8::Boolean::New(isolate, rehearses) };

	end_program = end;
	if (guest_function != nullptr)
		guest_function->Get(isolate)->Call(context(), v8::Undefined(isolate), 1, argument).FromMaybe(Local<Value>());
}

const char *
missing_need(const char *needs, uint32_t count)
{
	static std::string text;
	HandleScope scope(isolate);
	v8::TryCatch caught(isolate);
	Local<v8::Array> list = v8::Array::New(isolate, (int)count);
	Local<Value> argument[] = { list }, result;

	for (uint32_t i = 0; i < count; i++, needs += strlen(needs) + 1)
		set(list, i, text_of(needs));

	Local<Value> look = get(guest_function->Get(isolate), "missing_need");

	if (!look->IsFunction() || !look.As<Function>()->Call(context(), v8::Undefined(isolate), 1, argument).ToLocal(&result) ||
	    !result->IsString())
		return "they cannot be looked for";
	text = *String::Utf8Value(isolate, result);
	return text.empty() ? nullptr : text.c_str();
}

/* A fresh Node would have started now. */
void
begin(const char *args, uint32_t count)
{
	HandleScope scope(isolate);

	uv_update_time(node::GetCurrentEventLoop(isolate));
	start_clock();
	if (count > 0) {
		Local<v8::Array> argv = get(process(), "argv").As<v8::Array>();

		for (uint32_t i = 0; i < count; i++, args += strlen(args) + 1)
			set(argv, argv->Length(), text_of(args));
	}
}

void
environment_changed()
{
	HandleScope scope(isolate);

	tzset();
	isolate->DateTimeConfigurationChangeNotification(Isolate::TimeZoneDetection::kRedetect);
}

/* ---- ES modules ---------------------------------------------------------------------------------- */

/*
 * Messages by which Node detects an ES module from 22.7 on. With those of the second list the text
 * must also compile as the body of an async function.
 */
const char *const module_errors[] = { "Cannot use import statement outside a module", "Unexpected token 'export'",
	"Cannot use 'import.meta' outside a module", nullptr };
const char *const maybe_module_errors[] = { "Identifier '__filename' has already been declared",
	"Identifier '__dirname' has already been declared", "Identifier 'require' has already been declared",
	"Identifier 'module' has already been declared", "Identifier 'exports' has already been declared",
	"await is only valid in async functions and the top level bodies of modules", nullptr };

bool
contains_any(const char *message, const char *const *signs)
{
	for (; *signs != nullptr; signs++)
		if (strstr(message, *signs) != nullptr)
			return true;
	return false;
}

bool
is_module(const char *text, size_t size)
{
	HandleScope scope(isolate);
	v8::TryCatch caught(isolate);
	Local<String> names[] = { text_of("exports"), text_of("require"), text_of("module"), text_of("__filename"),
		text_of("__dirname") };
	std::string wrapped;

	if (NODE_MAJOR_VERSION > 22 || (NODE_MAJOR_VERSION == 22 && NODE_MINOR_VERSION >= 7))
		return false;
	if (!compile(text, size, 5, names).IsEmpty())
		return false;

	String::Utf8Value message(isolate, caught.Message()->Get());

	if (contains_any(*message, module_errors))
		return true;
	if (!contains_any(*message, maybe_module_errors))
		return false;
	caught.Reset();
	wrapped.append("(async function() {").append(text, size).append("\n})();");
	return !compile(wrapped.data(), wrapped.size(), 0, nullptr).IsEmpty() ||
	    contains_any(*String::Utf8Value(isolate, caught.Message()->Get()), module_errors);
}

void
run_module(const char *path)
{
	HandleScope scope(isolate);
	Local<Object> of = process(), main = get(of, "mainModule").As<Object>();
	Local<Object> loader = get(main, "constructor").As<Object>();
	Local<Value> next[] = { get(loader, "runMain"), text_of(path) };

	remove(get(loader, "_cache").As<Object>(), get(main, "filename"));
	remove(of, text_of("mainModule"));
	set(get(of, "argv").As<Object>(), 1, text_of(path));
	call(of, "nextTick", 2, next);
}

} // namespace

extern "C" {
extern const struct engine cellblock_engine;
const struct engine cellblock_engine = { prepare, version, search_heap, settle, enter_child, begin_guest, begin, missing_need,
	environment_changed, is_module, run_module };
}
