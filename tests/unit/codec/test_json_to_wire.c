/* CT-01, CT-02, CT-03, CT-05: JSON in, and what comes out again. */
#include "codec_test.h"

#define CHECK(message, rows) codec_test_check_rows(message, rows, ARRAY_SIZE(rows))

static void test_syntax(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{}", "", NULL, NULL},
		{" \t\r\n{ \t\r\n} \t\r\n", "{}", NULL, NULL},
		{"{ \"fInt32\" : 1 , \"fBool\" : true }", "{\"fInt32\":1,\"fBool\":true}", NULL,
			NULL},
		{"", NULL, "json_syntax", NULL},
		{" ", NULL, "json_syntax", NULL},
		{"{", NULL, "json_syntax", NULL},
		{"}", NULL, "json_syntax", NULL},
		{"{}}", NULL, "json_syntax", NULL},
		{"{}{}", NULL, "json_syntax", NULL},
		{"{} x", NULL, "json_syntax", NULL},
		{"{,}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1,}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1 \"fBool\":true}", NULL, "json_syntax", NULL},
		{"{\"fInt32\" 1}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1", NULL, "json_syntax", NULL},
		{"{fInt32:1}", NULL, "json_syntax", NULL},
		{"{'fInt32':1}", NULL, "json_syntax", NULL},
		{"{/*c*/\"fInt32\":1}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1}//c", NULL, "json_syntax", NULL},
		{"\xef\xbb\xbf{}", NULL, "json_syntax", NULL},
		{"null", NULL, "json_type", NULL},
		{"[]", NULL, "json_type", NULL},
		{"1", NULL, "json_type", NULL},
		{"{\"rInt32\":[1,]}", NULL, "json_syntax", NULL},
		{"{\"rInt32\":[,1]}", NULL, "json_syntax", NULL},
		{"{\"rInt32\":[1 2]}", NULL, "json_syntax", NULL},
		{"{\"rInt32\":[1", NULL, "json_syntax", NULL},
		{"{\"rInt32\":[1}", NULL, "json_syntax", NULL},
		{"{\"fDouble\":NaN}", NULL, "json_syntax", NULL},
		{"{\"fDouble\":Infinity}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":+1}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":01}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":-}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1.}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":1e}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":.5}", NULL, "json_syntax", NULL},
		{"{\"fBool\":tru}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":nul}", NULL, "json_syntax", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_strings(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"fString\":\"plain\"}", "", NULL, NULL},
		{"{\"fString\":\"\"}", "{}", NULL, NULL},
		{"{\"fString\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
			"{\"fString\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"}", NULL, NULL},
		{"{\"fString\":\"\\u0000\\u001f\\u0020\"}", "{\"fString\":\"\\u0000\\u001f \"}",
			NULL, NULL},
		{"{\"fString\":\"\\u00e9\\u20AC\\uD83D\\ude00\"}",
			"{\"fString\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}", NULL, NULL},
		{"{\"fString\":\"\x7f\xc2\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"}", "", NULL,
			NULL},
		{"{\"fString\":\"sixteen chars ok\"}", "", NULL, NULL},
		{"{\"fString\":\"more than sixteen characters \\u0041\"}",
			"{\"fString\":\"more than sixteen characters A\"}", NULL, NULL},
		{"{\"f\\u0053tring\":\"a\"}", "{\"fString\":\"a\"}", NULL, NULL},
		{"{\"fString\":\"\\U0041\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\u12\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\u12g4\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\ud800\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\ud800x\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\ud800\\u0041\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\udc00\\ud800\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\x41\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\\", NULL, "json_syntax", NULL},
		{"{\"fString\":\"a", NULL, "json_syntax", NULL},
		{"{\"fString\":\"a\nb\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"a\x1f\"}", NULL, "json_syntax", NULL},
		{"{\"fString\":\"\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xc3\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xc0\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xe0\x80\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xed\xa0\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xf0\x80\x80\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xf4\x90\x80\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":\"\xf5\x80\x80\x80\"}", NULL, "json_utf8", NULL},
		{"{\"fString\":1}", NULL, "json_type", NULL},
		{"{\"fString\":true}", NULL, "json_type", NULL},
		{"{\"fString\":[]}", NULL, "json_type", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_integers(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"fInt32\":2147483647}", "", NULL, NULL},
		{"{\"fInt32\":-2147483648}", "", NULL, NULL},
		{"{\"fInt32\":2147483648}", NULL, "json_range", NULL},
		{"{\"fInt32\":-2147483649}", NULL, "json_range", NULL},
		{"{\"fInt32\":1.0}", "{\"fInt32\":1}", NULL, NULL},
		{"{\"fInt32\":1e5}", "{\"fInt32\":100000}", NULL, NULL},
		{"{\"fInt32\":2.147483647e9}", "{\"fInt32\":2147483647}", NULL, NULL},
		{"{\"fInt32\":-0}", "{}", NULL, NULL},
		{"{\"fInt32\":0e99}", "{}", NULL, NULL},
		{"{\"fInt32\":0}", "{}", NULL, NULL},
		{"{\"fInt32\":100e-2}", "{\"fInt32\":1}", NULL, NULL},
		{"{\"fInt32\":\"17\"}", "{\"fInt32\":17}", NULL, NULL},
		{"{\"fInt32\":\"\\u00317\"}", "{\"fInt32\":17}", NULL, NULL},
		{"{\"fInt32\":\"1e2\"}", "{\"fInt32\":100}", NULL, NULL},
		{"{\"fInt32\":1.5}", NULL, "json_range", NULL},
		{"{\"fInt32\":1e-1}", NULL, "json_range", NULL},
		{"{\"fInt32\":\"\"}", NULL, "json_type", NULL},
		{"{\"fInt32\":\" 1\"}", NULL, "json_type", NULL},
		{"{\"fInt32\":\"1 \"}", NULL, "json_type", NULL},
		{"{\"fInt32\":\"12abc\"}", NULL, "json_type", NULL},
		{"{\"fInt32\":12abc}", NULL, "json_syntax", NULL},
		{"{\"fInt32\":true}", NULL, "json_type", NULL},
		{"{\"fInt32\":{}}", NULL, "json_type", NULL},
		{"{\"fInt64\":\"9223372036854775807\"}", "", NULL, NULL},
		{"{\"fInt64\":9223372036854775807}", "{\"fInt64\":\"9223372036854775807\"}", NULL,
			NULL},
		{"{\"fInt64\":\"-9223372036854775808\"}", "", NULL, NULL},
		{"{\"fInt64\":\"9223372036854775808\"}", NULL, "json_range", NULL},
		{"{\"fInt64\":1e536870000}", NULL, "json_range", NULL},
		{"{\"fInt64\":9007199254740993}", "{\"fInt64\":\"9007199254740993\"}", NULL, NULL},
		{"{\"fInt64\":5}", "", NULL, "int64_numbers"},
		{"{\"fInt64\":9007199254740992}", "", NULL, "int64_numbers"},
		{"{\"fInt64\":\"9007199254740993\"}", "", NULL, "int64_numbers"},
		{"{\"fUint64\":\"18446744073709551615\"}", "", NULL, NULL},
		{"{\"fUint64\":\"18446744073709551616\"}", NULL, "json_range", NULL},
		{"{\"fUint64\":-1}", NULL, "json_range", NULL},
		{"{\"fUint64\":-0}", "{}", NULL, NULL},
		{"{\"fUint32\":4294967295}", "", NULL, NULL},
		{"{\"fUint32\":4294967296}", NULL, "json_range", NULL},
		{"{\"fSint32\":-2147483648}", "", NULL, NULL},
		{"{\"fSint64\":\"-9223372036854775808\"}", "", NULL, NULL},
		{"{\"fFixed32\":4294967295}", "", NULL, NULL},
		{"{\"fFixed64\":\"18446744073709551615\"}", "", NULL, NULL},
		{"{\"fSfixed32\":-2147483648}", "", NULL, NULL},
		{"{\"fSfixed64\":\"-1\"}", "", NULL, NULL},
		{"{\"fBool\":true}", "", NULL, NULL},
		{"{\"fBool\":false}", "{}", NULL, NULL},
		{"{\"fBool\":0}", NULL, "json_type", NULL},
		{"{\"fBool\":\"true\"}", NULL, "json_type", NULL},
		{"{\"fBool\":True}", NULL, "json_syntax", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_reals(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"fDouble\":0.1}", "", NULL, NULL},
		{"{\"fDouble\":-0}", "{\"fDouble\":-0}", NULL, NULL},
		{"{\"fDouble\":-0.0}", "{\"fDouble\":-0}", NULL, NULL},
		{"{\"fDouble\":1e21}", "{\"fDouble\":1e+21}", NULL, NULL},
		{"{\"fDouble\":123456789012345680000}", "", NULL, NULL},
		{"{\"fDouble\":1e-6}", "{\"fDouble\":0.000001}", NULL, NULL},
		{"{\"fDouble\":1e-7}", "", NULL, NULL},
		{"{\"fDouble\":1.7976931348623157e308}", "{\"fDouble\":1.7976931348623157e+308}",
			NULL, NULL},
		{"{\"fDouble\":1.8e308}", NULL, "json_range", NULL},
		{"{\"fDouble\":5e-324}", "", NULL, NULL},
		{"{\"fDouble\":1e-400}", "{}", NULL, NULL},
		{"{\"fDouble\":-1e-400}", "{\"fDouble\":-0}", NULL, NULL},
		{"{\"fDouble\":\"NaN\"}", "", NULL, NULL},
		{"{\"fDouble\":\"Infinity\"}", "", NULL, NULL},
		{"{\"fDouble\":\"-Infinity\"}", "", NULL, NULL},
		{"{\"fDouble\":\"1.5\"}", "{\"fDouble\":1.5}", NULL, NULL},
		{"{\"fDouble\":\"nan\"}", NULL, "json_type", NULL},
		{"{\"fDouble\":\"+Infinity\"}", NULL, "json_type", NULL},
		{"{\"fDouble\":\"\"}", NULL, "json_type", NULL},
		{"{\"fDouble\":\"12,34\"}", NULL, "json_type", NULL},
		{"{\"fDouble\":true}", NULL, "json_type", NULL},
		{"{\"fFloat\":0.1}", "", NULL, NULL},
		{"{\"fFloat\":16777217}", "{\"fFloat\":16777216}", NULL, NULL},
		{"{\"fFloat\":3.4028235e38}", "{\"fFloat\":3.4028235e+38}", NULL, NULL},
		{"{\"fFloat\":3.4028236e38}", NULL, "json_range", NULL},
		{"{\"fFloat\":3.5e38}", NULL, "json_range", NULL},
		{"{\"fFloat\":\"-Infinity\"}", "", NULL, NULL},
		{"{\"fFloat\":1e-50}", "{}", NULL, NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_bytes_and_enums(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"fBytes\":\"AQID\"}", "", NULL, NULL},
		{"{\"fBytes\":\"AQI=\"}", "", NULL, NULL},
		{"{\"fBytes\":\"AQI\"}", "{\"fBytes\":\"AQI=\"}", NULL, NULL},
		{"{\"fBytes\":\"AQ==\"}", "", NULL, NULL},
		{"{\"fBytes\":\"AR\"}", "{\"fBytes\":\"AQ==\"}", NULL, NULL},
		{"{\"fBytes\":\"-_+/\"}", "{\"fBytes\":\"+/+/\"}", NULL, NULL},
		{"{\"fBytes\":\"\"}", "{}", NULL, NULL},
		{"{\"fBytes\":\"A\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":\"AQ=\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":\"A===\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":\"AQ==AQ==\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":\"A QI\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":\"AQ\\n=\"}", NULL, "json_base64", NULL},
		{"{\"fBytes\":1}", NULL, "json_type", NULL},
		{"{\"fColor\":\"GREEN\"}", "", NULL, NULL},
		{"{\"fColor\":\"LIME\"}", "{\"fColor\":\"GREEN\"}", NULL, NULL},
		{"{\"fColor\":\"BLUE\"}", "", NULL, NULL},
		{"{\"fColor\":-3}", "{\"fColor\":\"BLUE\"}", NULL, NULL},
		{"{\"fColor\":\"RED\"}", "{}", NULL, NULL},
		{"{\"fColor\":\"FAR\"}", "", NULL, NULL},
		{"{\"fColor\":17}", "", NULL, NULL},
		{"{\"fColor\":1.0}", "{\"fColor\":\"GREEN\"}", NULL, NULL},
		{"{\"fColor\":1}", "", NULL, "enum_numbers"},
		{"{\"fColor\":2147483648}", NULL, "json_range", NULL},
		{"{\"fColor\":\"green\"}", NULL, "json_enum", NULL},
		{"{\"fColor\":\"green\"}", "{\"fColor\":\"GREEN\"}", NULL, "enum_any_case"},
		{"{\"fColor\":\"1\"}", NULL, "json_enum", NULL},
		{"{\"fColor\":\"PINK\"}", NULL, "json_enum", NULL},
		{"{\"fColor\":\"PINK\"}", "{}", NULL, "ignore_unknown"},
		{"{\"fColor\":true}", NULL, "json_type", NULL},
		{"{\"rColor\":[\"RED\",\"PINK\",\"GREEN\"]}", "{\"rColor\":[\"RED\",\"GREEN\"]}",
			NULL, "ignore_unknown"},
		{"{\"rColor\":[\"PINK\"]}", "{}", NULL, "ignore_unknown"},
		{"{\"mBool\":{\"true\":\"PINK\",\"false\":\"GREEN\"}}",
			"{\"mBool\":{\"false\":\"GREEN\"}}", NULL, "ignore_unknown"},
		{"{\"mAll\":{\"a\":{\"fColor\":\"PINK\"}}}", "{\"mAll\":{\"a\":{}}}", NULL,
			"ignore_unknown"},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_names(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"f_int32\":1}", "{\"fInt32\":1}", NULL, NULL},
		{"{\"fInt32\":1}", "{\"f_int32\":1}", NULL, "proto_names"},
		{"{\"fieldName4\":1,\"FieldName3\":2,\"FIELDName12\":3}", "", NULL, NULL},
		{"{\"field__name4_\":1,\"_field_name3\":2,\"FIELD_name12\":3}",
			"{\"fieldName4\":1,\"FieldName3\":2,\"FIELDName12\":3}", NULL, NULL},
		{"{\"quo\\\"ted \\\\ \xc3\xa9\":5}", "", NULL, NULL},
		{"{\"renamed\":5}", "{\"quo\\\"ted \\\\ \xc3\xa9\":5}", NULL, NULL},
		{"{\"far\":5}", "", NULL, NULL},
		{"{\"nothing\":5}", NULL, "json_unknown_field", NULL},
		{"{\"FINT32\":5}", NULL, "json_unknown_field", NULL},
		{"{\"nothing\":5,\"fInt32\":1}", "{\"fInt32\":1}", NULL, "ignore_unknown"},
		{"{\"nothing\":{\"a\":[1,\"x\\n\",{\"b\":null}]},\"fInt32\":1}", "{\"fInt32\":1}",
			NULL, "ignore_unknown"},
		{"{\"nothing\":[1,}", NULL, "json_syntax", "ignore_unknown"},
		{"{\"nothing\":\"\xff\"}", NULL, "json_utf8", "ignore_unknown"},
		{"{\"nothing\":{a:1}}", NULL, "json_syntax", "ignore_unknown"},
		{"{\"fInt32\":1,\"f_int32\":1}", NULL, "json_duplicate", NULL},
		{"{\"fInt32\":1,\"fInt32\":null}", "{\"fInt32\":1}", NULL, NULL},
		{"{\"fInt32\":0,\"fInt32\":0}", NULL, "json_duplicate", NULL},
		{"{\"rInt32\":[],\"rInt32\":[]}", NULL, "json_duplicate", NULL},
		{"{\"far\":1,\"far\":1}", NULL, "json_duplicate", NULL},
		{"{\"pInt32\":1,\"pString\":\"\"}", NULL, "json_duplicate", NULL},
		{"{\"pInt32\":null,\"pString\":\"\"}", "{\"pString\":\"\"}", NULL, NULL},
		{"{\"pNull\":null,\"pInt32\":1}", NULL, "json_duplicate", NULL},
		{"{\"pValue\":null,\"pNull\":null}", NULL, "json_duplicate", NULL},
		{"{\"pInt32\":0,\"qBool\":false}", "", NULL, NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_presence(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"oInt32\":0,\"oString\":\"\",\"oColor\":\"RED\"}", "", NULL, NULL},
		{"{\"fAll\":{}}", "", NULL, NULL},
		{"{\"pInt32\":0}", "", NULL, NULL},
		{"{\"pAll\":{}}", "", NULL, NULL},
		{"{\"pNull\":null}", "", NULL, NULL},
		{"{\"pNull\":\"NULL_VALUE\"}", "{\"pNull\":null}", NULL, NULL},
		{"{\"pNull\":0}", "{\"pNull\":null}", NULL, NULL},
		{"{\"wNull\":null}", "{}", NULL, NULL},
		{"{\"wNull\":5}", NULL, "json_wkt", NULL},
		{"{\"wNull\":\"NULL\"}", NULL, "json_wkt", NULL},
		{"{\"wValue\":null}", "", NULL, NULL},
		{"{\"fInt32\":null,\"fAll\":null,\"rInt32\":null,\"mString\":null,\"wAny\":null,"
		 "\"wInt32\":null,\"wStruct\":null,\"oInt32\":null,\"fBytes\":null}",
			"{}", NULL, NULL},
		{"{\"rInt32\":[null]}", NULL, "json_type", NULL},
		{"{\"rString\":[null]}", NULL, "json_type", NULL},
		{"{\"rAll\":[null]}", NULL, "json_type", NULL},
		{"{\"rWrapped\":[null]}", NULL, "json_type", NULL},
		{"{\"rValue\":[null]}", "", NULL, NULL},
		{"{\"mString\":{\"a\":null}}", NULL, "json_type", NULL},
		{"{\"mValue\":{\"a\":null}}", "", NULL, NULL},
		{"{\"rInt32\":[]}", "{}", NULL, NULL},
		{"{\"mString\":{}}", "{}", NULL, NULL},
		{"{\"rInt32\":1}", NULL, "json_type", NULL},
		{"{\"mString\":[]}", NULL, "json_type", NULL},
		{"{\"fAll\":1}", NULL, "json_type", NULL},
		{"{\"fAll\":[]}", NULL, "json_type", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_lists_and_maps(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"rInt32\":[0,1,-1,2147483647]}", "", NULL, NULL},
		{"{\"rInt32\":[ 0 , 1 ]}", "{\"rInt32\":[0,1]}", NULL, NULL},
		{"{\"rString\":[\"\",\"a\"]}", "", NULL, NULL},
		{"{\"rAll\":[{},{\"fInt32\":1}]}", "", NULL, NULL},
		{"{\"rColor\":[\"RED\",\"BLUE\",5]}", "", NULL, NULL},
		{"{\"rDouble\":[0,-0,1.5,\"NaN\"]}", "", NULL, NULL},
		{"{\"rBytes\":[\"\",\"AQ==\"]}", "", NULL, NULL},
		{"{\"rUnpacked\":[0,-1]}", "", NULL, NULL},
		{"{\"rFixed32\":[0,7]}", "", NULL, NULL},
		{"{\"rBool\":[true,false]}", "", NULL, NULL},
		{"{\"mString\":{\"\":0,\"a\":1}}", "", NULL, NULL},
		{"{\"mInt32\":{\"-1\":\"\",\"7\":\"x\"}}", "", NULL, NULL},
		{"{\"mInt32\":{\"\\u0031\":\"x\"}}", "{\"mInt32\":{\"1\":\"x\"}}", NULL, NULL},
		{"{\"mBool\":{\"true\":\"RED\",\"false\":\"GREEN\"}}", "", NULL, NULL},
		{"{\"mAll\":{\"a\":{\"fInt32\":1},\"b\":{}}}", "", NULL, NULL},
		{"{\"mUint64\":{\"18446744073709551615\":\"\"}}", "", NULL, NULL},
		{"{\"mString\":{\"a\":1,\"a\":1}}", NULL, "json_duplicate", NULL},
		{"{\"mString\":{\"a\":1,\"\\u0061\":1}}", NULL, "json_duplicate", NULL},
		{"{\"mInt32\":{\"1\":\"\",\"1.0\":\"\"}}", NULL, "json_duplicate", NULL},
		{"{\"mInt32\":{\"x\":\"\"}}", NULL, "json_type", NULL},
		{"{\"mInt32\":{\"\":\"\"}}", NULL, "json_type", NULL},
		{"{\"mInt32\":{\"2147483648\":\"\"}}", NULL, "json_range", NULL},
		{"{\"mInt32\":{1:\"\"}}", NULL, "json_syntax", NULL},
		{"{\"mBool\":{\"1\":\"RED\"}}", NULL, "json_type", NULL},
		{"{\"mBool\":{\"True\":\"RED\"}}", NULL, "json_type", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_times(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"wTime\":\"1972-01-01T10:00:20.021Z\"}", "", NULL, NULL},
		{"{\"wTime\":\"1970-01-01T00:00:00Z\"}", "", NULL, NULL},
		{"{\"wTime\":\"0001-01-01T00:00:00Z\"}", "", NULL, NULL},
		{"{\"wTime\":\"9999-12-31T23:59:59.999999999Z\"}", "", NULL, NULL},
		{"{\"wTime\":\"2024-02-29T12:00:00.1Z\"}",
			"{\"wTime\":\"2024-02-29T12:00:00.100Z\"}", NULL, NULL},
		{"{\"wTime\":\"2024-02-29T12:00:00.0001Z\"}",
			"{\"wTime\":\"2024-02-29T12:00:00.000100Z\"}", NULL, NULL},
		{"{\"wTime\":\"2024-02-29T12:00:00+01:30\"}",
			"{\"wTime\":\"2024-02-29T10:30:00Z\"}", NULL, NULL},
		{"{\"wTime\":\"1969-12-31T23:59:59.5Z\"}",
			"{\"wTime\":\"1969-12-31T23:59:59.500Z\"}", NULL, NULL},
		{"{\"wTime\":\"2023-02-29T12:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-13-01T12:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-00T12:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T24:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:60:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:60Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01t00:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01 00:00:00Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00.Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00.1234567890Z\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00+24:00\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"2024-01-01T00:00:00+1:00\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"0001-01-01T00:00:00+00:01\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"9999-12-31T23:59:59-00:01\"}", NULL, "json_wkt", NULL},
		{"{\"wTime\":\"0000-12-31T23:59:59-00:01\"}",
			"{\"wTime\":\"0001-01-01T00:00:59Z\"}", NULL, NULL},
		{"{\"wTime\":1}", NULL, "json_type", NULL},
		{"{\"wDuration\":\"1.000340012s\"}", "", NULL, NULL},
		{"{\"wDuration\":\"0s\"}", "", NULL, NULL},
		{"{\"wDuration\":\"-0.5s\"}", "{\"wDuration\":\"-0.500s\"}", NULL, NULL},
		{"{\"wDuration\":\"315576000000s\"}", "", NULL, NULL},
		{"{\"wDuration\":\"-315576000000s\"}", "", NULL, NULL},
		{"{\"wDuration\":\"315576000001s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"315576000000.1s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"1\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\".5s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"1.s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"+1s\"}", NULL, "json_wkt", NULL},
		{"{\"wDuration\":\"1.0000000001s\"}", NULL, "json_wkt", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_known_types(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"wMask\":\"foo,barBaz.qux\"}", "", NULL, NULL},
		{"{\"wMask\":\"\"}", "", NULL, NULL},
		{"{\"wMask\":\"a_b\"}", NULL, "json_wkt", NULL},
		{"{\"wMask\":\"a,\"}", NULL, "json_wkt", NULL},
		{"{\"wMask\":\",a\"}", NULL, "json_wkt", NULL},
		{"{\"wMask\":[]}", NULL, "json_type", NULL},
		{"{\"wStruct\":{\"a\":1,\"b\":[true,null,\"x\",{}],\"c\":{\"d\":-0.5}}}", "", NULL,
			NULL},
		{"{\"wStruct\":{}}", "", NULL, NULL},
		{"{\"wStruct\":[]}", NULL, "json_type", NULL},
		{"{\"wStruct\":{\"a\":1,\"a\":2}}", NULL, "json_duplicate", NULL},
		{"{\"wStruct\":{\"a\":1e999}}", NULL, "json_range", NULL},
		{"{\"wStruct\":{\"a\":NaN}}", NULL, "json_syntax", NULL},
		{"{\"wValue\":1e3}", "{\"wValue\":1000}", NULL, NULL},
		{"{\"wValue\":\"x\"}", "", NULL, NULL},
		{"{\"wValue\":false}", "", NULL, NULL},
		{"{\"wValue\":[[],{}]}", "", NULL, NULL},
		{"{\"wList\":[1,[2,[3]],null]}", "", NULL, NULL},
		{"{\"wList\":{}}", NULL, "json_type", NULL},
		{"{\"wEmpty\":{}}", "", NULL, NULL},
		{"{\"wEmpty\":{\"a\":1}}", NULL, "json_unknown_field", NULL},
		{"{\"wInt32\":0,\"wString\":\"\",\"wInt64\":\"0\",\"wBool\":false,\"wDouble\":0,"
		 "\"wBytes\":\"\"}",
			"", NULL, NULL},
		{"{\"wInt32\":\"7\",\"wInt64\":7}", "{\"wInt32\":7,\"wInt64\":\"7\"}", NULL, NULL},
		{"{\"wInt32\":{\"value\":1}}", NULL, "json_type", NULL},
		{"{\"rWrapped\":[0,1]}", "", NULL, NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_any(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"wAny\":{}}", "", NULL, NULL},
		{"{\"wAny\":{\"@type\":\"x/t3.M\",\"name\":\"a\",\"v\":[1]}}", "", NULL, NULL},
		{"{\"wAny\":{\"@type\":\"type.googleapis.com/t3.M\"}}", "", NULL, NULL},
		{"{\"wAny\":{\"name\":\"a\",\"@type\":\"x/t3.M\",\"v\":[1]}}",
			"{\"wAny\":{\"@type\":\"x/t3.M\",\"name\":\"a\",\"v\":[1]}}", NULL, NULL},
		{"{\"wAny\":{\"v\":[1],\"\\u0040type\":\"x/t3.M\"}}",
			"{\"wAny\":{\"@type\":\"x/t3.M\",\"v\":[1]}}", NULL, NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"}}", "", NULL,
			NULL},
		{"{\"wAny\":{\"value\":\"1s\",\"@type\":\"x/google.protobuf.Duration\"}}",
			"{\"wAny\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"}}",
			NULL, NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Value\",\"value\":null}}", "", NULL,
			NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":0}}", "", NULL,
			NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Empty\"}}", "", NULL, NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"y/t3.M\","
		 "\"name\":\"b\"}}}",
			"", NULL, NULL},
		{"{\"rAny\":[{\"name\":\"a\",\"@type\":\"x/"
		 "t3.M\"},{\"v\":[2],\"sub\":{\"name\":\"c\"},"
		 "\"@type\":\"x/t3.M\"}]}",
			"{\"rAny\":[{\"@type\":\"x/t3.M\",\"name\":\"a\"},{\"@type\":\"x/"
			"t3.M\",\"v\":[2],"
			"\"sub\":{\"name\":\"c\"}}]}",
			NULL, NULL},
		{"{\"wAny\":{\"name\":\"a\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"t3.M\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"x/t3.Nothing\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":1}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"x/\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"x/t3.M\",\"@type\":\"x/t3.M\"}}", NULL, "json_duplicate",
			NULL},
		{"{\"wAny\":{\"@type\":\"x/t3.M\",\"nothing\":1}}", NULL, "json_unknown_field",
			NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Duration\"}}", NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"a\":1}}",
			NULL, "json_any", NULL},
		{"{\"wAny\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1\"}}", NULL,
			"json_wkt", NULL},
		{"{\"wAny\":{\"@type\":\"x/un.Known\",\"value\":\"AQI=\"}}", "", NULL, "any_raw"},
		{"{\"wAny\":1}", NULL, "json_type", NULL},
		{"{\"wAny\":{\"name\":\"a\",\"@type\":\"x/t3.M\"},\"fInt32\":x}", NULL,
			"json_syntax", NULL},
	};

	(void)state;
	CHECK("t3.All", rows);
}

static void test_proto2(void **state)
{
	static const struct codec_test_row rows[] = {
		{"{\"oInt32\":0,\"qString\":\"\"}", "", NULL, NULL},
		{"{\"rInt32\":[1,2],\"rPacked\":[3,4]}", "", NULL, NULL},
		{"{\"oClosed\":\"TWO\"}", "", NULL, NULL},
		{"{\"oClosed\":2}", "{\"oClosed\":\"TWO\"}", NULL, NULL},
		{"{\"oClosed\":3}", NULL, "json_enum", NULL},
		{"{\"mygroup\":{\"a\":1,\"inner\":{\"a\":2}}}", "", NULL, NULL},
		{"{\"rep\":[{\"s\":\"x\"},{}]}", "", NULL, NULL},
		{"{\"[t2.ext_int32]\":5,\"[t2.ext_strings]\":[\"a\"],\"[t2.ext_old]\":{}}", "",
			NULL, NULL},
		{"{\"ext_int32\":5}", NULL, "json_unknown_field", NULL},
		{"{\"[t2.nothing]\":5}", NULL, "json_unknown_field", NULL},
	};
	static const struct codec_test_row clash[] = {
		{"{\"a_b\":1,\"plain\":2}", "", NULL, NULL},
		{"{\"aB\":1}", NULL, "json_unknown_field", NULL},
		{"{\"aB\":1}", NULL, "json_unknown_field", "ignore_unknown"},
	};
	static const struct codec_test_row needs[] = {
		{"{}", "", NULL, NULL},
		{"{\"one\":1}", NULL, "json_required", "check_required"},
		{"{\"one\":1,\"two\":2}", "", NULL, "check_required"},
		{"{\"one\":1,\"two\":2,\"sub\":{\"one\":1}}", NULL, "json_required",
			"check_required"},
	};

	(void)state;
	CHECK("t2.Old", rows);
	CHECK("t2.Clash", clash);
	CHECK("t2.Needs", needs);
}

static void test_roots(void **state)
{
	static const struct codec_test_row value[] = {{"null", "", NULL, NULL},
		{" [1] ", "[1]", NULL, NULL}, {"5", "", NULL, NULL}, {"\"x\"", "", NULL, NULL},
		{"", NULL, "json_syntax", NULL}, {"1 2", NULL, "json_syntax", NULL}};
	static const struct codec_test_row wrapper[] = {{"5", "", NULL, NULL},
		{"0", "", NULL, NULL}, {"\"5\"", "5", NULL, NULL}, {"{}", NULL, "json_type", NULL}};
	static const struct codec_test_row empty[] = {
		{"{}", "", NULL, NULL}, {"null", NULL, "json_type", NULL}};

	(void)state;
	CHECK("google.protobuf.Value", value);
	CHECK("google.protobuf.Int32Value", wrapper);
	CHECK("google.protobuf.Empty", empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_reals),
		cmocka_unit_test(test_bytes_and_enums),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_lists_and_maps),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_known_types),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_proto2),
		cmocka_unit_test(test_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
