package controls.identity.console_mfa_test

import data.controls.identity.console_mfa
import data.lib.identity.user

_user(password, mfa) := {"source": "aws", "type": "AWS::IAM::User", "data": {"GetCredentialReport": {
	"GeneratedTime": "2026-11-20T12:00:00Z", "password_enabled": password, "mfa_active": mfa,
}}}

_now := "2026-11-21T12:00:00Z"

test_second_factor_passes if console_mfa.violation == set() with input as _user("true", "true") with data.run.as_of as _now

test_no_password_passes if console_mfa.violation == set() with input as _user("false", "false") with data.run.as_of as _now

test_password_alone_fails if {
	{v.path | some v in console_mfa.violation} == {"/data/GetCredentialReport/mfa_active"} with input as _user("true", "false") with data.run.as_of as _now
}

test_what_the_report_does_not_say_is_undefined if {
	not user.console_password with input as _user("no_information", "false")
	not user.mfa with input as {"source": "aws", "type": "AWS::IAM::User", "data": {}}
}

test_an_old_report_tells_nothing if {
	user.credential_report_recent with input as _user("true", "true") with data.run.as_of as _now
	not user.credential_report_recent with input as _user("true", "true") with data.run.as_of as "2026-11-21T12:00:01Z"
	console_mfa.violation == set() with input as _user("true", "false") with data.run.as_of as "2026-11-21T12:00:01Z"
	not user.credential_report_recent with input as {"source": "aws", "type": "AWS::IAM::User", "data": {"GetCredentialReport": {}}} with data.run.as_of as _now
}
