/* fetch: the paths of the pulling API. A value. */
#ifndef PILLION_BROKER_FETCH_H
#define PILLION_BROKER_FETCH_H

struct fetch_path {
	char topic[288];
	char group[72];
	char member[32]; /* "fetch-<sum of the topic>" */
};

#endif
