#include "http/body_account.h"

void body_account_init(struct body_account *account)
{
	ASSERT(account != NULL);
	*account = (struct body_account){BODY_STATE_HEAD, BODY_NONE, 0, 0};
}

static bool body_account_fail(struct body_account *account)
{
	account->state = BODY_STATE_FAILED;
	return false;
}

/* MM-06: an end is legal only when nothing is owed. */
static bool body_account_settled(const struct body_account *account)
{
	return account->kind != BODY_LENGTH || account->received == account->promised;
}

bool body_account_head(struct body_account *account, enum body_kind kind, uint64_t length, bool end)
{
	if (account->state != BODY_STATE_HEAD) {
		return body_account_fail(account);
	}
	account->kind = kind;
	account->promised = kind == BODY_LENGTH ? length : 0;
	account->state = BODY_STATE_OPEN;
	return end ? body_account_end(account) : true;
}

bool body_account_data(struct body_account *account, uint64_t size)
{
	if (account->state != BODY_STATE_OPEN) {
		return body_account_fail(account);
	}
	switch (account->kind) {
	case BODY_NONE:
		/* An empty piece is no byte: HTTP/2 may send one before its end. */
		return size == 0 ? true : body_account_fail(account);
	case BODY_LENGTH:
		ASSERT(account->received <= account->promised);
		if (size > account->promised - account->received) {
			return body_account_fail(account);
		}
		break;
	case BODY_UNKNOWN:
	case BODY_UNTIL_CLOSE:
		/* The running total stays a 63-bit number whatever the peer does (MM-02). */
		if (size > INT64_MAX - account->received) {
			return body_account_fail(account);
		}
		break;
	}
	account->received += size;
	return true;
}

bool body_account_trailers(struct body_account *account)
{
	if (account->state != BODY_STATE_OPEN || !body_account_settled(account)) {
		return body_account_fail(account);
	}
	account->state = BODY_STATE_TRAILERS;
	return true;
}

bool body_account_end(struct body_account *account)
{
	bool may_end = account->state == BODY_STATE_OPEN || account->state == BODY_STATE_TRAILERS;

	if (!may_end || !body_account_settled(account)) {
		return body_account_fail(account);
	}
	account->state = BODY_STATE_ENDED;
	return true;
}

uint64_t body_account_rest(const struct body_account *account)
{
	ASSERT(account->kind != BODY_LENGTH || account->received <= account->promised);
	return account->kind == BODY_LENGTH ? account->promised - account->received : 0;
}

bool body_account_clean(const struct body_account *account)
{
	return account->state == BODY_STATE_ENDED;
}
