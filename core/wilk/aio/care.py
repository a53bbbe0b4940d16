"""The async face of care: the doctor, and what else looks after a store."""

from __future__ import annotations

from wilk.aio.nouns import Noun, aside, reading
from wilk.care.backups.backups import Backups
from wilk.care.doctor.doctor import Doctor
from wilk.care.forgetting.forgetting import Forgetting


class AsyncDoctor(Noun):
    """The verbs of the doctor, awaited."""

    checks = reading(Doctor.checks)
    examine = aside(Doctor.examine)
    repair = aside(Doctor.repair)
    undo = aside(Doctor.undo)
    repairs = reading(Doctor.repairs)


class AsyncBackups(Noun):
    """The verbs of backups, awaited."""

    create = aside(Backups.create)
    list = aside(Backups.list)
    get = aside(Backups.get)
    verify = aside(Backups.verify)
    remove = aside(Backups.remove)
    prune = aside(Backups.prune)
    restore = aside(Backups.restore)


class AsyncForgetting(Noun):
    """The verbs of forgetting, awaited."""

    plan = aside(Forgetting.plan)
    run = aside(Forgetting.run)
    again = aside(Forgetting.again)
    certificates = reading(Forgetting.certificates)
    certificate = reading(Forgetting.certificate)
    verify = aside(Forgetting.verify)
    search = aside(Forgetting.search)
