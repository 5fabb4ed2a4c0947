"""`trioqueue simulator`."""

from typing import Annotated

import trio
from cyclopts import Parameter, validators

from trioqueue.cli.numbers import WHOLE
from trioqueue.cli.output import say
from trioqueue.simulator import GatewayFault, Latency, ModelFault, WorldSettings, simulated_world

Port = Annotated[
    int,
    WHOLE,
    Parameter(
        help="Port on the loopback address; 0 for any that is free.", validator=validators.Number(gte=0, lte=65535)
    ),
]
Seconds = Annotated[
    float, Parameter(help="Seconds that an answer takes on average.", validator=validators.Number(gte=0, lte=3600))
]
Chance = Annotated[
    float,
    Parameter(
        help="How likely a fault is, 0 to 1; it is one that may pass.", validator=validators.Number(gte=0, lte=1)
    ),
]


async def simulator(
    *,
    model_port: Port = 0,
    gateway_port: Port = 0,
    model_latency: Seconds = 0.8,
    gateway_latency: Seconds = 0.3,
    model_faults: Chance = 0.0,
    gateway_faults: Chance = 0.0,
    seed: Annotated[int, WHOLE, Parameter(help="The same seed gives the same latencies and faults.")] = 0,
) -> None:
    """Run a simulated model and gateway until Ctrl-C, and print the variables that point trioqueue at them."""
    settings = WorldSettings(
        seed=seed,
        model_latency=Latency(model_latency, model_latency / 3),
        gateway_latency=Latency(gateway_latency, gateway_latency / 3),
        model_chances={ModelFault.RATE_LIMITED: model_faults / 2, ModelFault.BAD_GATEWAY_HTML: model_faults / 2},
        gateway_chances={GatewayFault.BAD_REQUEST: gateway_faults},
    )
    async with simulated_world(settings, model_port=model_port, gateway_port=gateway_port) as world:
        say(f"export TRIOQUEUE_OPENROUTER_URL={world.model_url}")
        say(f"export OPENROUTER_API_KEY={world.model_key}")
        say(f"export TRIOQUEUE_GATEWAY_URL={world.gateway_url}")
        say(f"export TRIOQUEUE_GATEWAY_KEY={world.gateway_key}")
        say(f"export TRIOQUEUE_GATEWAY_LOOKUP_URL={world.lookup_url}")
        await trio.sleep_forever()
