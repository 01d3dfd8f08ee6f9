/*
 * The defaults of codec.md 14 and the limits that hold without any configuration.
 */
#include "codec/translate_options.h"

#include "base/assert.h"

void translate_options_init(struct codec_options *options)
{
	ASSERT(options);
	*options = (struct codec_options){
		.any_unknown = CODEC_ANY_ERROR,
		.max_depth = CODEC_DEPTH_DEFAULT,
		.max_message = CODEC_MESSAGE_MAX,
		.max_json = CODEC_JSON_MAX,
	};
}
