"""Matrix products and Einsum."""

from gradcheck import Case, normal

CASES = [
    Case("MatMul", [normal(3, 4), normal(4, 5)]),
    Case("MatMul", [normal(2, 3, 4), normal(4, 5)], id="batched-left"),
    Case("MatMul", [normal(3, 4), normal(2, 4, 5)], id="batched-right"),
    Case("MatMul", [normal(2, 1, 3, 4), normal(5, 4, 2)], id="broadcast-both"),
    Case("MatMul", [normal(4), normal(4, 5)], id="vector-matrix"),
    Case("MatMul", [normal(3, 4), normal(4)], id="matrix-vector"),
    Case("MatMul", [normal(2, 3, 4), normal(4)], id="batch-vector"),
    Case("MatMul", [normal(4), normal(2, 4, 3)], id="vector-batch"),
    Case("MatMul", [normal(4), normal(4, seed=1)], id="vector-vector"),
    *(
        Case(
            "Gemm",
            [normal(*((4, 3) if ta else (3, 4))), normal(*((5, 4) if tb else (4, 5))), normal(5)],
            {"transA": ta, "transB": tb, "alpha": 0.7, "beta": 1.3},
            id=f"{ta}{tb}",
        )
        for ta in (0, 1)
        for tb in (0, 1)
    ),
    Case("Gemm", [normal(3, 4), normal(4, 5)], id="no-bias"),
    Case("Gemm", [normal(3, 4), normal(4, 5), normal(3, 1)], id="column-bias"),
    Case("Einsum", [normal(2, 3), normal(3, 4)], {"equation": "ij,jk->ik"}),
    Case("Einsum", [normal(2, 3), normal(3, 4)], {"equation": "ij, jk"}, id="implicit"),
    Case("Einsum", [normal(2, 3, 4)], {"equation": "bij->bj"}, id="summed"),
    Case("Einsum", [normal(2, 3, 4), normal(2, 5, 4)], {"equation": "bid,bjd->bij"}, id="attention"),
    Case("Einsum", [normal(2, 5, 3, 4), normal(4, 6)], {"equation": "...d,de->...e"}, id="ellipsis"),
    Case(
        "Einsum",
        [normal(2, 5, 3), normal(1, 3, 4)],
        {"equation": "...ij,...jk->...ik"},
        id="ellipsis-broadcast",
        symbolic="none",
        why="onnx shape inference of Einsum refuses an unknown dimension against 1",
    ),
    Case("Einsum", [normal(3), normal(4)], {"equation": "i,j->ij"}, id="outer"),
    Case("Einsum", [normal(3, 4), normal(4, 5), normal(5, 2)], {"equation": "ij,jk,kl->il"}, id="three"),
    Case("Einsum", [normal(2, 3, 3)], {"equation": "...ii->...i"}, id="diagonal"),
    Case("Einsum", [normal(3, 3), normal(3)], {"equation": "ii,i->i"}, id="diagonal-of-two"),
    Case("Einsum", [normal(3), normal(3, seed=1)], {"equation": "i,i"}, id="inner"),
]
