/*
 * A store of keys and values, a shard of it on each core. Any core takes
 * commands from its file chan/0, has them done by the core whose shard it is,
 * and answers to chan/1:
 *
 *	put KEY VALUE     ok, or: full
 *	get KEY           the value, or: no KEY
 *	del KEY           ok, or: no KEY
 *	count             how many keys this core's shard has
 *	quit              ends all cores
 *
 *	warren cc -O2 -o kv.elf testdata/riscv/noc/kv.c
 *	mkdir procs/kv
 *	echo "exec $PWD/kv.elf" >procs/kv/ctl
 *	printf 'kind mesh\ncores 16\nstart\n' >procs/kv/ctl
 *	core=$(awk 'NR == 1 { print $2 }' procs/kv/cores)
 *	echo put colour green >cores/$core/chan/0; read answer <cores/$core/chan/1; echo "$answer"
 *	echo get colour >cores/$core/chan/0; read answer <cores/$core/chan/1; echo "$answer"
 *
 * Each line is a command; a message may have several. Where there is no network
 * it reads standard input, and answers to standard output.
 *
 * A core has at most one command at another core, and serves the others' while
 * it waits; what comes from the host meanwhile stands in a line of bounded
 * length. So messages on their way are fewer than cores, and nobody waits for
 * somebody who waits.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <warren.h>

enum { LINE = 512, BUCKETS = 256, QUEUE = 64, REQUESTS = 0, ANSWERS = 1 };

/* What goes between cores begins with one of these. */
enum { COMMAND = 'c', REPLY = 'r', QUIT = 'q' };

struct entry {
	struct entry *next;
	char *value;
	char key[];
};

static struct entry *bucket[BUCKETS];
static uint32_t keys, rank, size;

static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;
	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h ^ h >> 15;
}

static struct entry **find(const char *key)
{
	struct entry **e = &bucket[hash(key) / size % BUCKETS];
	while (*e && strcmp((*e)->key, key) != 0)
		e = &(*e)->next;
	return e;
}

static const char *put(const char *key, const char *value)
{
	struct entry **at = find(key), *e = *at;
	char *copy = strdup(value);
	if (copy && !e) {
		e = malloc(sizeof *e + strlen(key) + 1);
		if (e) {
			strcpy(e->key, key);
			e->value = NULL;
			e->next = NULL;
			*at = e;
			keys++;
		}
	}
	if (!copy || !e) {
		free(copy);
		return "full";
	}
	free(e->value);
	e->value = copy;
	return "ok";
}

static const char *del(const char *key)
{
	struct entry **at = find(key), *e = *at;
	if (!e)
		return NULL;
	*at = e->next;
	free(e->value);
	free(e);
	keys--;
	return "ok";
}

/* Cuts the first word off a line. */
static char *word(char **line)
{
	char *s = *line + strspn(*line, " \t"), *end = s + strcspn(s, " \t");
	*line = end;
	if (*end)
		*(*line)++ = 0;
	return s;
}

/* Does a command on this core's shard. The line is cut up, the answer is of
 * less than LINE bytes. */
static void run(char *line, char *answer)
{
	char *verb = word(&line), *key = word(&line);
	const char *value = line + strspn(line, " \t"), *said = NULL;
	if (strcmp(verb, "count") == 0) {
		snprintf(answer, LINE, "%u", (unsigned)keys);
		return;
	}
	if (!*key || (strcmp(verb, "put") && strcmp(verb, "get") && strcmp(verb, "del"))) {
		snprintf(answer, LINE, "want put KEY VALUE, get KEY, del KEY, count or quit");
		return;
	}
	if (strcmp(verb, "put") == 0)
		said = put(key, value);
	else if (strcmp(verb, "del") == 0)
		said = del(key);
	else if (*find(key))
		said = (*find(key))->value;
	if (said)
		snprintf(answer, LINE, "%s", said);
	else
		snprintf(answer, LINE, "no %s", key);
}

/* Which rank has the key of a command. */
static uint32_t owner(const char *line)
{
	char copy[LINE], *rest = copy;
	snprintf(copy, sizeof copy, "%s", line);
	if (strcmp(word(&rest), "count") == 0)
		return rank;
	return hash(word(&rest)) % size;
}

static void tell_host(const char *answer)
{
	char line[LINE + 1];
	int n = snprintf(line, sizeof line, "%s\n", answer);
	warren_host(ANSWERS, line, (uint32_t)n);
}

static void tell(uint32_t to, char kind, const char *text)
{
	char message[LINE + 1];
	int n = snprintf(message, sizeof message, "%c%s", kind, text);
	warren_send(to, REQUESTS, message, (uint32_t)n);
}

/* Commands of the host that wait for their turn. */
static char *queue[QUEUE];
static uint32_t first, waiting;
static int asked; /* one is at another core */

static void enqueue(const char *line)
{
	char *copy = waiting < QUEUE ? strdup(line) : NULL;
	if (!copy) {
		tell_host("busy");
		return;
	}
	queue[(first + waiting++) % QUEUE] = copy;
}

/* Begins commands until one has gone to another core. Reports a quit. */
static int begin(void)
{
	while (waiting && !asked) {
		char *line = queue[first], answer[LINE];
		first = (first + 1) % QUEUE;
		waiting--;
		int quit = strcmp(line, "quit") == 0;
		uint32_t to = owner(line);
		if (!quit && to == rank) {
			run(line, answer);
			tell_host(answer);
		} else if (!quit) {
			tell(to, COMMAND, line);
			asked = 1;
		}
		free(line);
		if (quit)
			return 1;
	}
	return 0;
}

/* Takes the lines of a message of the host. */
static void from_host(char *text)
{
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strlen(line) >= LINE - 1)
			tell_host("that is too long");
		else if (*line)
			enqueue(line);
	}
}

/* Takes a message of another core. Reports a quit. */
static int from_core(uint32_t from, char *text)
{
	char answer[LINE];
	switch (text[0]) {
	case COMMAND:
		run(text + 1, answer);
		tell(from, REPLY, answer);
		return 0;
	case REPLY:
		asked = 0;
		tell_host(text + 1);
		return 0;
	default:
		return 1;
	}
}

/* All hear of the end by way of a tree. */
static void pass_quit(uint32_t root)
{
	uint32_t me = (rank + size - root) % size, bit = 1;
	while (bit < size && !(me & bit))
		bit <<= 1;
	while ((bit >>= 1))
		if (me + bit < size) {
			char text[] = {QUIT, (char)root, (char)(root >> 8), (char)(root >> 16)};
			warren_send((me + bit + root) % size, REQUESTS, text, sizeof text);
		}
}

static int serve(void)
{
	static char text[WARREN_MESSAGE + 1];
	for (;;) {
		uint32_t from;
		int n = warren_recv_host(REQUESTS, text, WARREN_MESSAGE, &from);
		if (n < 0)
			return n;
		text[n] = 0;
		if (from == WARREN_HOST) {
			from_host(text);
		} else if (from_core(from, text)) {
			pass_quit((uint8_t)text[1] | (uint32_t)(uint8_t)text[2] << 8 | (uint32_t)(uint8_t)text[3] << 16);
			return 0;
		}
		if (begin()) {
			pass_quit(rank);
			return 0;
		}
	}
}

int main(void)
{
	char line[LINE], answer[LINE];
	rank = warren_rank();
	size = warren_size();
	if (serve() != -ENOSYS)
		return 0;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "quit") == 0)
			break;
		if (*line) {
			run(line, answer);
			puts(answer);
		}
	}
	return 0;
}
