/* The weather of a stretch of a run, from the seed (SIM-02). */
#include "tests/sim/raft/sim.h"

void sim_draw_rates(struct sim_world *world)
{
	struct sim_rates *rates = &world->rates;
	bool quiet = sim_chance(world, 150); /* some runs with little but what the core does */

	rates->loss = quiet ? 0 : (uint32_t)sim_below(world, sim_chance(world, 300) ? 301 : 60);
	rates->duplicate =
		quiet ? 0 : (uint32_t)sim_below(world, sim_chance(world, 300) ? 501 : 60);
	rates->slow = quiet ? 0 : (uint32_t)sim_below(world, 120);
	rates->net_us = 200 + (uint32_t)sim_below(world, 12000);
	rates->slow_us = 20000 + (uint32_t)sim_below(world, 1200000);
	rates->disk_us = 200 + (uint32_t)sim_below(world, sim_chance(world, 200) ? 200000 : 15000);
	rates->apply_us = 100 + (uint32_t)sim_below(world, sim_chance(world, 200) ? 100000 : 5000);
	rates->snapshot_every = 3 + (uint32_t)sim_below(world, sim_chance(world, 500) ? 12 : 200);
	rates->trailing = (uint32_t)sim_below(world, 4) * (uint32_t)sim_below(world, 12);
	rates->client_us = 2000 + (uint32_t)sim_below(world, 40000);
	rates->nemesis_us = 40000 + (uint32_t)sim_below(world, 900000);
	rates->changes = sim_chance(world, 600) ? (uint32_t)sim_below(world, 500) : 0;
	rates->cuts = sim_chance(world, 250) ? (uint32_t)sim_below(world, 500) : 0;
	rates->kills = quiet ? 0 : (uint32_t)sim_below(world, 400);
	rates->pauses = quiet ? 0 : (uint32_t)sim_below(world, 300);
	rates->partitions = quiet ? 0 : (uint32_t)sim_below(world, 600);
	rates->hints = (uint32_t)sim_below(world, 200);
	rates->storm = !quiet && sim_chance(world, 300);
	if (rates->storm) {
		rates->nemesis_us = 20000 + (uint32_t)sim_below(world, 200000);
		rates->kills /= 8;
	}
}
