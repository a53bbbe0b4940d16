"""The async face of what is learned: interactions, patterns, feedback, preferences, world models."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.learning.consolidation import Consolidation
from wilk.services.learning.feedback import FeedbackNotes
from wilk.services.learning.interactions import Interactions
from wilk.services.learning.patterns import Patterns
from wilk.services.learning.preferences import Preferences
from wilk.services.learning.world_models import WorldModels


class AsyncInteractions(Noun):
    """The verbs of interactions, awaited."""

    add = writing(Interactions.add)
    extend = writing(Interactions.extend)
    update = writing(Interactions.update)
    act = writing(Interactions.act)
    actions = reading(Interactions.actions)
    get = reading(Interactions.get)
    find = reading(Interactions.find)
    list = reading(Interactions.list)
    recent = reading(Interactions.recent)
    search = reading(Interactions.search)
    related = reading(Interactions.related)
    archive = writing(Interactions.archive)
    remove = writing(Interactions.remove)


class AsyncPatterns(Noun):
    """The verbs of patterns, awaited."""

    add = writing(Patterns.add)
    update = writing(Patterns.update)
    observe = writing(Patterns.observe)
    get = reading(Patterns.get)
    find = reading(Patterns.find)
    list = reading(Patterns.list)
    archive = writing(Patterns.archive)
    promote = writing(Patterns.promote)
    remove = writing(Patterns.remove)


class AsyncFeedback(Noun):
    """The verbs of feedback, awaited."""

    add = writing(FeedbackNotes.add)
    get = reading(FeedbackNotes.get)
    find = reading(FeedbackNotes.find)
    list = reading(FeedbackNotes.list)
    mark_applied = writing(FeedbackNotes.mark_applied)
    remove = writing(FeedbackNotes.remove)


class AsyncPreferences(Noun):
    """The verbs of preferences, awaited."""

    set = writing(Preferences.set)
    get = reading(Preferences.get)
    find = reading(Preferences.find)
    list = reading(Preferences.list)
    of = reading(Preferences.of)
    remove = writing(Preferences.remove)


class AsyncWorldModels(Noun):
    """The verbs of world models, awaited."""

    save = writing(WorldModels.save)
    update = writing(WorldModels.update)
    put_entity = writing(WorldModels.put_entity)
    observe_relation = writing(WorldModels.observe_relation)
    get = reading(WorldModels.get)
    find = reading(WorldModels.find)
    list = reading(WorldModels.list)
    active = reading(WorldModels.active)
    by_domain = reading(WorldModels.by_domain)
    deactivate = writing(WorldModels.deactivate)
    merge = writing(WorldModels.merge)
    snapshot = writing(WorldModels.snapshot)
    snapshots = reading(WorldModels.snapshots)
    restore = writing(WorldModels.restore)
    remove = writing(WorldModels.remove)


class AsyncConsolidation(Noun):
    """The verbs of consolidation, awaited."""

    run = writing(Consolidation.run)
    plan = reading(Consolidation.plan)
    statistics = reading(Consolidation.statistics)
    sources = reading(Consolidation.sources)
    start = writing(Consolidation.start)
    stop = writing(Consolidation.stop)
