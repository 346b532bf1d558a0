"""Ctrl-C while something is written: later, and never lost."""

import signal
import threading

import pytest

from macrid.evaluation.interrupt import Interrupts


def press():
    signal.raise_signal(signal.SIGINT)


def pressed(work):
    """Whether somebody was told of it."""
    try:
        work()
    except KeyboardInterrupt:
        return True
    return False


def test_it_comes_when_the_writing_is_done():
    done = []

    def write():
        with Interrupts():
            press()
            done.append("written")

    assert pressed(write)
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_goes_through_where_it_may_at_once_or_if_it_came_before():
    done = []

    def at_once():
        with Interrupts() as interrupts:
            with interrupts.let_through():
                press()
            done.append("never")

    def before():
        with Interrupts() as interrupts:
            press()
            done.append("written")
            with interrupts.let_through():
                done.append("never")

    assert pressed(at_once)
    assert pressed(before)
    assert done == ["written"]


def test_inside_one_another_the_inner_one_hands_it_on():
    done = []

    def nested():
        with Interrupts() as outer:
            with outer.let_through(), Interrupts():
                press()
                done.append("inner")
            done.append("never")

    assert pressed(nested)
    assert done == ["inner"]


def test_another_error_is_not_hidden_by_it():
    def fail():
        with Interrupts():
            press()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_in_another_thread_it_does_nothing():
    done = []

    def work():
        with Interrupts() as interrupts, interrupts.let_through():
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["worked"]
