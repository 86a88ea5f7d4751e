"""Side by side with curator and Inspect AI: the same 5,000 judged generations on the same simulated server.

Each of three tools, in a process of its own, has the server reply to every prompt and then judge every reply (10,000
calls, 128 at once, each 50 ms), keeps everything on disk its own way, and ends with 5,000 labels. Imports are left out
of the time. The peers need environments of their own; one that is not given is left out:

    python -m venv /tmp/curator && /tmp/curator/bin/pip install bespokelabs-curator==0.1.31
    python -m venv /tmp/inspect && /tmp/inspect/bin/pip install inspect-ai==0.3.285 openai
    python benchmarks/peers.py --curator /tmp/curator/bin/python --inspect /tmp/inspect/bin/python [--rounds 1]

Curator asks for a tokenizer from the network; it is pointed at the copy that its own dependency litellm carries.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

from simulated_server import VERDICT, serving, where

OURS = """
import json, sys, time
from pathlib import Path
from unwaver.reasoning import trace
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Prompt, Request, Sampling
from unwaver.stages.calls import Calls, Workplace
from unwaver.store import RunDir, Step
url, n, folder, verdict = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
settings = ModelSettings(name="openai:m", base_url=url, concurrency=128)
def asked(text):
    return Request(messages=(Message(role="user", content=text),), sampling=Sampling(temperature=0.6, top_p=0.95))
begun = time.perf_counter()
prompts = [Prompt(text=f"Question number {i}: which side is it looked at from?", kind="benign") for i in range(n)]
with RunDir.open(Step("distil", "all", {}), folder) as run:
    calls = Calls(run, Workplace(folder), 0.0)
    pairs = [(prompt, asked(prompt.text)) for prompt in prompts]
    calls.ask(settings, lambda: (request for _, request in pairs), n, "distil")
    traces = [trace(prompt, request, calls.reply(settings, request), "m") for prompt, request in pairs]
    run.write("traces.jsonl", traces)
    judged = [asked("\\n\\n".join([t.prompt.text, t.text("both"), verdict])) for t in traces]
    calls.ask(settings, lambda: judged, n, "judge")
    labels = [json.loads(calls.reply(settings, request).text)["label"] for request in judged]
    calls.close()
print(json.dumps({"seconds": time.perf_counter() - begun, "labels": labels.count("safe")}))
"""

CURATOR = """
import importlib.util, json, os, sys, time
from pathlib import Path
url, n, folder, verdict = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
carried = Path(importlib.util.find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"
os.environ.update(TELEMETRY_ENABLED="0", HF_HUB_OFFLINE="1", LITELLM_LOCAL_MODEL_COST_MAP="True", OPENAI_API_KEY="none",
                  CURATOR_DISABLE_RICH_DISPLAY="1", CURATOR_CACHE_DIR=folder, TIKTOKEN_CACHE_DIR=str(carried))
from bespokelabs import curator
limits = {"max_concurrent_requests": 128, "max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10}
class Generate(curator.LLM):
    def prompt(self, row):
        return row["prompt"]
    def parse(self, row, response):
        return {"prompt": row["prompt"], "trace": response}
class Judge(curator.LLM):
    def prompt(self, row):
        return "\\n\\n".join([row["prompt"], row["trace"], verdict])
    def parse(self, row, response):
        return {**row, "label": json.loads(response)["label"]}
begun = time.perf_counter()
settings = {"model_name": "gpt-4o-mini", "backend": "openai",
            "generation_params": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 4096},
            "backend_params": {"base_url": url, "api_key": "none", **limits}}
rows = [{"prompt": f"Question number {i}: which side is it looked at from?"} for i in range(n)]
judged = Judge(**settings)(Generate(**settings)(rows).dataset).dataset
labels = list(judged["label"])
print(json.dumps({"seconds": time.perf_counter() - begun, "labels": labels.count("safe")}))
"""

INSPECT = """
import json, sys, time
from inspect_ai import Task, eval as evaluate
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score, mean, scorer
from inspect_ai.solver import generate
url, n, folder, verdict = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
begun = time.perf_counter()
config = GenerateConfig(max_connections=128, temperature=0.6, top_p=0.95, max_tokens=4096)
model = get_model("openai-api/simulated/m", base_url=url, api_key="none", config=config)
@scorer(metrics=[mean()])
def judge():
    async def score(state, target):
        text = "\\n\\n".join([state.input_text, state.output.completion, verdict])
        label = json.loads((await model.generate(text)).completion)["label"]
        return Score(value=int(label == "safe"), answer=label)
    return score
samples = [Sample(input=f"Question number {i}: which side is it looked at from?", target="", id=i) for i in range(n)]
task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=judge())
log = evaluate(task, model=model, log_dir=folder, display="none", max_samples=128, max_connections=128)[0]
labels = [sample.scores["judge"].answer for sample in log.samples]
print(json.dumps({"seconds": time.perf_counter() - begun, "labels": labels.count("safe")}))
"""


def measure(python: str, script: str, url: str, n: int) -> float:
    """Seconds of one tool; every label must be there."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-c", script, url, str(n), folder, VERDICT]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["labels"] == n, result
    return float(result["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curator", help="the Python of an environment with bespokelabs-curator 0.1.31")
    parser.add_argument("--inspect", help="the Python of an environment with inspect-ai 0.3.285")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--n", type=int, default=5000)
    options = parser.parse_args()
    tools = [
        ("unwaver", sys.executable, OURS),
        ("curator", options.curator, CURATOR),
        ("inspect", options.inspect, INSPECT),
    ]
    with serving(0.05) as url:
        for _ in range(options.rounds):
            for name, python, script in tools:
                if python:
                    seconds = measure(python, script, url, options.n)
                    print(
                        f"{where()} | {name} | {options.n:,} judged generations, 128 at once, 50 ms | {seconds:.1f} s, "
                        f"{2 * options.n / seconds:.0f} calls/s, load {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
