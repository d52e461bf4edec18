package controls.identity.console_mfa_test

import data.controls.identity.console_mfa
import data.lib.identity.user

_user(password, mfa) := {"source": "aws", "type": "AWS::IAM::User", "data": {"GetCredentialReport": {"password_enabled": password, "mfa_active": mfa}}}

test_second_factor_passes if console_mfa.violation == set() with input as _user("true", "true")

test_no_password_passes if console_mfa.violation == set() with input as _user("false", "false")

test_password_alone_fails if {
	{v.path | some v in console_mfa.violation} == {"/data/GetCredentialReport/mfa_active"} with input as _user("true", "false")
}

test_what_the_report_does_not_say_is_undefined if {
	not user.console_password with input as _user("no_information", "false")
	not user.mfa with input as {"source": "aws", "type": "AWS::IAM::User", "data": {}}
}
