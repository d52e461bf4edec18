# METADATA
# description: What holds for a whole cloud account.
package lib.identity.account

# Whether the account's root user has a second factor.
root_mfa := input.data.GetAccountSummary.SummaryMap.AccountMFAEnabled == 1 if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

root_mfa_path := "/data/GetAccountSummary/SummaryMap/AccountMFAEnabled" if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

# Whether the account's root user has access keys.
root_access_keys := input.data.GetAccountSummary.SummaryMap.AccountAccessKeysPresent != 0 if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

root_access_keys_path := "/data/GetAccountSummary/SummaryMap/AccountAccessKeysPresent" if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

# The shortest password the account takes. Without a policy of its own, AWS takes eight characters.
password_length := input.data.GetAccountPasswordPolicy.PasswordPolicy.MinimumPasswordLength if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

password_length := 8 if {
	input.source == "aws"
	input.type == "AWS::::Account"
	input.data.GetAccountPasswordPolicy == null
}

password_length_path := "/data/GetAccountPasswordPolicy" if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

# What is there of a password policy, in words.
password_policy_seen := sprintf("%v characters", [input.data.GetAccountPasswordPolicy.PasswordPolicy.MinimumPasswordLength]) if {
	input.source == "aws"
	input.type == "AWS::::Account"
}

password_policy_seen := "no password policy: AWS takes 8 characters" if {
	input.source == "aws"
	input.type == "AWS::::Account"
	input.data.GetAccountPasswordPolicy == null
}

_blocks := ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]

# The account-wide public access blocks that are off: all four where there is none.
public_access_open := [name |
	some name in _blocks
	not input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration[name] == true
] if {
	input.source == "aws"
	input.type == "AWS::::Account"
	is_object(input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration)
}

public_access_open := _blocks if {
	input.source == "aws"
	input.type == "AWS::::Account"
	input.data.GetPublicAccessBlock == null
}

# What is there of an account-wide block, in words.
public_access_seen := "no public access block" if {
	input.source == "aws"
	input.type == "AWS::::Account"
	input.data.GetPublicAccessBlock == null
}

public_access_seen := _seen(public_access_open) if {
	input.source == "aws"
	input.type == "AWS::::Account"
	is_object(input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration)
}

_seen(open) := "all four blocks on" if count(open) == 0

_seen(open) := sprintf("off: %s", [concat(", ", open)]) if count(open) > 0

public_access_path := "/data/GetPublicAccessBlock" if {
	input.source == "aws"
	input.type == "AWS::::Account"
}
