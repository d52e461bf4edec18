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

public_access_path := "/data/GetPublicAccessBlock" if {
	input.source == "aws"
	input.type == "AWS::::Account"
}
