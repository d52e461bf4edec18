# METADATA
# title: Administration ports are not open to the world
# description: No rule lets every address (0.0.0.0/0 or ::/0) reach a port by which machines are administered.
# custom:
#   id: NET-001
#   severity: critical
#   applies_to:
#     - aws/AWS::EC2::SecurityGroup
#     - terraform/aws_security_group
#     - terraform/aws_security_group_rule
#     - terraform/aws_vpc_security_group_ingress_rule
#   why: >-
#     An administration port on the open internet is found within minutes and tried with stolen and
#     guessed credentials from then on.
#   parameters:
#     ports:
#       type: array
#       description: The ports by which machines are administered.
#       default: [22, 3389]
#   fix:
#     terraform: |
#       resource "aws_vpc_security_group_ingress_rule" "ssh" {
#         security_group_id = aws_security_group.this.id
#         ip_protocol       = "tcp"
#         from_port         = 22
#         to_port           = 22
#         cidr_ipv4         = "203.0.113.0/24" # the network that administers, or no rule and Session Manager
#       }
#     aws: |
#       aws ec2 revoke-security-group-ingress --group-id ID --protocol tcp --port 22 --cidr 0.0.0.0/0
#   runbook: ec2-close-administration-ports
package controls.network.administration_ports

import data.lib.network.ingress

violation contains {
	"message": sprintf("%s reaches port %s (%s %d-%d)", [opening.cidr, concat(", ", [sprintf("%v", [p]) | some p in ports]), opening.protocol, opening.from, opening.to]),
	"observed": opening.cidr,
	"expected": "a narrower network, or no rule",
	"path": opening.path,
} if {
	some opening in ingress.world_openings
	ports := [p |
		some p in data.parameters["NET-001"].ports
		opening.from <= p
		p <= opening.to
	]
	count(ports) > 0
}
