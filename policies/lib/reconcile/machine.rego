# METADATA
# description: What of a machine the other sources say is running.
package lib.reconcile.machine

import data.lib.inventory.machine

# The machines and nodes that run although the inventory says otherwise: what each is, and by what it was found.
running := array.concat(_by_id, array.concat(_by_address, array.concat(_by_name, _by_node_address))) if {
	machine.cloud_id
	machine.host_name
	machine.addresses
}

_by_id := [{"id": hit.id, "state": hit.value.state, "by": "instance id"} |
	machine.cloud_id != "none"
	some hit in data.estate.aws.instance[machine.cloud_id]
	not hit.value.state in _at_rest
]

_by_address := [{"id": hit.id, "state": hit.value.state, "by": sprintf("address %s", [address])} |
	some address in machine.addresses
	some hit in data.estate.aws.address[address]
	not hit.value.state in _at_rest
]

_by_name := [{"id": hit.id, "state": _node_state(hit.value.ready), "by": "node name"} |
	machine.host_name != "none"
	some hit in data.estate.kubernetes.node[machine.host_name]
	not hit.value.ready in _silent
]

_by_node_address := [{"id": hit.id, "state": _node_state(hit.value.ready), "by": sprintf("address %s", [address])} |
	some address in machine.addresses
	some hit in data.estate.kubernetes.node_address[address]
	not hit.value.ready in _silent
]

_at_rest := {"stopping", "stopped", "shutting-down", "terminated"}

# A node that is not ready does not run; one that says nothing of it is taken to.
_silent := {"False", "Unknown"}

_node_state(ready) := "ready" if ready == "True"

_node_state(ready) := "registered" if ready != "True"
