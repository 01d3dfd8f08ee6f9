/* raft-sim --seed N [--steps M] [--trace], or --seeds A..B [--twice]. --flags F takes guards of the
 * core away (enum raft_test_flag), to see what they guard. Exit 1 on the first violation, with the
 * seed that shows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/raft/sim.h"

#define STEPS_DEFAULT 40000u

struct options {
	uint64_t first, last, steps, flags;
	bool trace, twice, quiet;
};

struct totals {
	uint64_t steps, simulated_us, acked, reads, changes, kills, leaders;
};

static uint64_t run_once(const struct options *options, uint64_t seed, struct totals *totals)
{
	struct sim_world *world = sim_create(seed, options->steps, options->trace);
	uint64_t hash;

	world->options.test_flags = (uint32_t)options->flags;

	sim_run(world);
	hash = world->trace_hash;
	totals->steps += world->steps;
	totals->simulated_us += world->now_us;
	totals->acked += world->proposals_done;
	totals->reads += world->reads_done;
	totals->changes += world->changes_done;
	totals->kills += world->kills;
	totals->leaders += world->leader_changes;
	if (!options->quiet) {
		printf("seed %llu trace %016llx: %llu steps, %llu.%03llu s, %llu acked, %llu "
		       "reads, "
		       "%llu changes, %llu kills, %llu cuts, %llu leaders, commit %llu\n",
			(unsigned long long)seed, (unsigned long long)hash,
			(unsigned long long)world->steps,
			(unsigned long long)(world->now_us / 1000000),
			(unsigned long long)(world->now_us / 1000 % 1000),
			(unsigned long long)world->proposals_done,
			(unsigned long long)world->reads_done,
			(unsigned long long)world->changes_done, (unsigned long long)world->kills,
			(unsigned long long)world->cuts, (unsigned long long)world->leader_changes,
			(unsigned long long)world->oracle.commit_max);
	}
	sim_destroy(world);
	return hash;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	*options = (struct options){.first = 1, .last = 1, .steps = STEPS_DEFAULT};
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;

		if (strcmp(argv[i], "--trace") == 0) {
			options->trace = true;
		} else if (strcmp(argv[i], "--twice") == 0) {
			options->twice = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			options->quiet = true;
		} else if (strcmp(argv[i], "--steps") == 0) {
			options->steps = strtoull(value, &end, 10);
		} else if (strcmp(argv[i], "--flags") == 0) {
			options->flags = strtoull(value, &end, 10);
		} else if (strcmp(argv[i], "--seed") == 0) {
			options->first = options->last = strtoull(value, &end, 10);
		} else if (strcmp(argv[i], "--seeds") == 0) {
			options->first = strtoull(value, &end, 10);
			if (strncmp(end, "..", 2) != 0) {
				return false;
			}
			options->last = strtoull(end + 2, &end, 10);
		} else {
			return false;
		}
		if (end != NULL) {
			if (end == value || *end != '\0') {
				return false;
			}
			i++;
		}
	}
	return options->first <= options->last;
}

int main(int argc, char **argv)
{
	struct options options;
	struct totals totals = {0};

	if (!parse_options(argc, argv, &options)) {
		fprintf(stderr, "usage: raft-sim --seed N | --seeds A..B [--steps M] [--trace] "
				"[--twice] [--quiet] [--flags F]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("raft-sim, built by %s\n", __VERSION__);
	clock_t start = clock();

	for (uint64_t seed = options.first; seed <= options.last; seed++) {
		/* Before the run: if the core aborts, this is the line to look for. */
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
		uint64_t hash = run_once(&options, seed, &totals);

		if (options.twice && run_once(&options, seed, &totals) != hash) {
			fprintf(stderr, "FAIL seed %llu: two runs differ\n",
				(unsigned long long)seed);
			return 1;
		}
	}
	double cpu = (double)(clock() - start) / CLOCKS_PER_SEC;
	double simulated = (double)totals.simulated_us / 1e6;

	printf("ok: %llu steps, %.0f s simulated in %.2f s of processor time (%.0f s per hour), "
	       "%llu acked, %llu reads, %llu changes, %llu kills, %llu leaders\n",
		(unsigned long long)totals.steps, simulated, cpu,
		cpu > 0 ? simulated / cpu * 3600 : 0, (unsigned long long)totals.acked,
		(unsigned long long)totals.reads, (unsigned long long)totals.changes,
		(unsigned long long)totals.kills, (unsigned long long)totals.leaders);
	return 0;
}
