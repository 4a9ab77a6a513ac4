"""The command line: typer commands, each in the file of its name or of the one beside it that does the like."""

from __future__ import annotations

from graphspec.cli.data import data
from graphspec.cli.doctor import doctor
from graphspec.cli.evaluate import evaluate
from graphspec.cli.explain import explain
from graphspec.cli.export import export
from graphspec.cli.init import import_, init
from graphspec.cli.inspect import inspect
from graphspec.cli.page import page, serve
from graphspec.cli.predict import predict
from graphspec.cli.report import card, report
from graphspec.cli.schema import lsp, schema
from graphspec.cli.search import search
from graphspec.cli.summary import diff, plot, summary
from graphspec.cli.train import train
from graphspec.cli.upgrade import upgrade
from graphspec.cli.usage import app_of
from graphspec.cli.validate import validate

COMMANDS = (
    *(init, import_, data, validate, explain, summary, plot, train, search),
    *(evaluate, report, predict, export, page, serve, card, inspect, diff, upgrade, schema, lsp, doctor),
)

app = app_of(COMMANDS)
