"""Rows of the catalogue: determinism. What every function is held to stands in the battery."""

from .row import Elsewhere, Row


def _battery(name: str, given: str, says: str, *tests: str) -> Elsewhere:
    return Elsewhere(name, given, says, tuple(f"tests/battery/{test}" for test in tests), raised=False)


ROWS: list[Row | Elsewhere] = [
    _battery(
        "D1",
        "the same seed again, in this process and in others under another PYTHONHASHSEED",
        "the same bytes, for every function",
        "test_reruns.py::test_second_run_gives_identical_bytes",
        "test_running.py::test_two_processes_give_the_same_bytes_under_other_hashes",
    ),
    _battery(
        "D2",
        "other batches, workers and threads",
        "the same vectors within 1e-4",
        "test_running.py::test_batches_workers_and_threads_change_no_numbers",
    ),
    _battery(
        "D4",
        "spots or genes in another order, or more genes",
        "results follow the order of spots; genes are joined by name",
        "test_orders.py::test_results_follow_the_order_of_spots",
        "test_orders.py::test_order_of_genes_does_not_matter",
        "test_orders.py::test_genes_that_nobody_asked_for_do_not_matter",
    ),
    _battery(
        "D5",
        "counts in sixteen containers and number types, arrays in other orders of memory",
        "the same result",
        "test_containers.py::test_every_container_gives_the_same",
        "test_arguments.py::test_order_of_memory_does_not_matter",
    ),
]

LEFT_OUT: dict[str, str] = {
    "D3": "CPU against GPU is measured where a GPU is (tests/nn/test_torch_run.py::test_cuda_equals_cpu); this machine has none",
    "D6": "clusters and UMAP on different kinds of CPU are not promised: nobody's are, and one machine can't show it",
}
