"""Every suite of the journal, for an engine to run all of them: `from tests.conformance.suites import *`."""

from tests.conformance.any_filter_suite import AnyFilterSuite
from tests.conformance.attempt_suite import AbandonSuite, AttemptSuite
from tests.conformance.claim_suite import ClaimSuite
from tests.conformance.judging_suite import JudgeableSuite, JudgementSuite, OverrulingSuite
from tests.conformance.lookup_suite import LookupSuite, PurgeSuite
from tests.conformance.outbox_suite import EnteringSuite, OrderSuite
from tests.conformance.pausing_suite import PauseSuite, SlotSuite
from tests.conformance.queue_ending_suite import AsideSuite, EndingSuite, KeepingSuite, WaitingListSuite
from tests.conformance.queue_suite import QueueingSuite, RequeueSuite, TurnSuite
from tests.conformance.replay_suite import AuditSuite, ListSuite, ReplaySuite
from tests.conformance.resend_suite import ResendSuite
from tests.conformance.settling_suite import OpaqueSuite, TokenSuite
from tests.conformance.sharing_suite import BehindSuite, OwnerSuite, TenantVersionSuite
from tests.conformance.status_suite import StatusSuite
from tests.conformance.store_suite import KeySuite, OutcomeSuite


class TestKeys(KeySuite): ...


class TestOutcomes(OutcomeSuite): ...


class TestLookups(LookupSuite): ...


class TestPurge(PurgeSuite): ...


class TestStatuses(StatusSuite): ...


class TestTokens(TokenSuite): ...


class TestOpaqueData(OpaqueSuite): ...


class TestResending(ResendSuite): ...


class TestJudgeable(JudgeableSuite): ...


class TestJudgements(JudgementSuite): ...


class TestOverruling(OverrulingSuite): ...


class TestEntering(EnteringSuite): ...


class TestOrder(OrderSuite): ...


class TestClaims(ClaimSuite): ...


class TestAttempts(AttemptSuite): ...


class TestAbandoning(AbandonSuite): ...


class TestReplay(ReplaySuite): ...


class TestAudit(AuditSuite): ...


class TestCallbackLists(ListSuite): ...


class TestQueueing(QueueingSuite): ...


class TestTurns(TurnSuite): ...


class TestRequeueing(RequeueSuite): ...


class TestEndings(EndingSuite): ...


class TestAside(AsideSuite): ...


class TestWaitingLists(WaitingListSuite): ...


class TestKeeping(KeepingSuite): ...


class TestSlots(SlotSuite): ...


class TestPauses(PauseSuite): ...


class TestAnyFilter(AnyFilterSuite): ...


class TestOwners(OwnerSuite): ...


class TestBehind(BehindSuite): ...


class TestTenantVersion(TenantVersionSuite): ...
