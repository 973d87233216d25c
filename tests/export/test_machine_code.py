"""Libraries compiled for each level, with the fault in each that the check is there for."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from soaflow.errors import ExportError
from soaflow.export.machine_code import MachineCode, check_machine_code, read_machine_code

LOOP = """
extern "C" void scale(float* y, const float* x, const float* w, long n) {
    for (long i = 0; i < n; ++i) y[i] += x[i] * w[i];
}
"""
PARALLEL = LOOP.replace("    for", '    _Pragma("omp parallel for")\n    for')
SIMD = LOOP.replace("    for", '    _Pragma("omp simd")\n    for')
WIDE = "__m512i f(__m512i a, __m512i b)"
INTRINSICS = {
    "avx512_vnni": ("-mavx512vnni", WIDE + " { return _mm512_dpbusd_epi32(a, a, b); }"),
    "avx512_bf16": ("-mavx512bf16", "__m256bh f(__m512 a) { return _mm512_cvtneps_pbh(a); }"),
    "avx512_fp16": ("-mavx512fp16", "__m512h f(__m512h a, __m512h b) { return _mm512_add_ph(a, b); }"),
    "avx_vnni": ("-mavxvnni", "__m256i f(__m256i a, __m256i b) { return _mm256_dpbusd_avx_epi32(a, a, b); }"),
    "amx_tile": ("-mamx-tile", "void f(const void* a) { _tile_loadconfig(a); }"),
    "amx_bf16": ("-mamx-bf16 -mamx-tile", "void f() { _tile_dpbf16ps(0, 1, 2); }"),
    "aes": ("-maes", "__m128i f(__m128i a, __m128i b) { return _mm_aesenc_si128(a, b); }"),
}

Compile = Callable[..., Path]
PLAIN = MachineCode(1, ("xmm",), (), (), "2.34", "3.4.30", ("libc.so.6",))


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    def build(source: str, *flags: str, name: str = "library", language: str = "c++") -> Path:
        path = tmp_path / f"{name}.so"
        command = ["g++", "-x", language, "-", "-O3", "-shared", "-fPIC", *flags, "-o", str(path)]
        subprocess.run(command, input=source, text=True, check=True)
        return path

    return build


@pytest.mark.parametrize(
    ("level", "registers", "among"),
    [
        (2, ("xmm",), set()),
        (3, ("xmm", "ymm"), {"avx", "fma"}),
        (4, ("xmm", "ymm", "zmm"), {"avx", "avx512f"}),
    ],
)
def test_a_library_is_accepted_from_its_level_up(compiled, level, registers, among):
    library = compiled(LOOP, f"-march=x86-64-v{level}", "-mprefer-vector-width=512")
    code = read_machine_code(library)
    assert code.vector_registers == registers
    assert among <= set(code.extensions)
    assert code.instructions > 20
    for other in (2, 3, 4):
        if other >= level:
            check_machine_code(code, other, "the library")
        else:
            with pytest.raises(
                ExportError, match=rf"the library needs .* which x86-64-v{other} lacks: compile"
            ):
                check_machine_code(code, other, "the library")
    check_machine_code(code, None, "the library")


def test_code_for_v2_has_what_v2_brings(compiled):
    source = 'extern "C" int f(int x) { return __builtin_popcount(x); }'
    assert read_machine_code(compiled(source, "-march=x86-64-v2")).extensions == ("popcnt",)
    assert read_machine_code(compiled(source, "-march=x86-64")).extensions == ()


def test_native_code_is_accepted_as_native(compiled):
    check_machine_code(read_machine_code(compiled(LOOP, "-march=native")), None, "the library")


@pytest.mark.parametrize("extension", INTRINSICS)
def test_an_extension_of_no_level_is_refused_at_each(compiled, extension):
    flags, function = INTRINSICS[extension]
    library = compiled(f"#include <immintrin.h>\n{function}", *flags.split())
    code = read_machine_code(library)
    assert extension in code.extensions
    # Alone, so that it is the one which is refused.
    for level in (2, 3, 4):
        with pytest.raises(ExportError, match=f"needs {extension} instructions, which x86-64-v{level} lacks"):
            check_machine_code(replace(PLAIN, extensions=(extension,)), level, "the library")
        with pytest.raises(ExportError, match=f"which x86-64-v{level} lacks"):
            check_machine_code(code, level, "the library")
    check_machine_code(code, None, "the library")


def test_one_wide_instruction_in_a_narrow_library_is_caught(compiled):
    source = 'extern "C" void f() { asm volatile("vpternlogd $1,%xmm0,%xmm1,%xmm2"); }'
    code = read_machine_code(compiled(LOOP + source, "-march=x86-64-v3"))
    assert {"avx512f", "avx512vl"} <= set(code.extensions)
    assert "zmm" not in code.vector_registers
    with pytest.raises(ExportError, match="the library needs avx512f instructions, which x86-64-v3 lacks"):
        check_machine_code(code, 3, "the library")


def test_the_message_names_the_register_the_extension_and_the_remedy():
    code = replace(PLAIN, vector_registers=("xmm", "ymm", "zmm"), extensions=("avx", "avx512f"))
    with pytest.raises(ExportError) as caught:
        check_machine_code(code, 3, "model Net for target x86-64-v3")
    assert str(caught.value) == (
        "model Net for target x86-64-v3 needs zmm registers and avx512f instructions, which x86-64-v3 lacks: "
        "compile it with cpp.march = x86-64-v3, cpp.simdlen = 256 and no other -m flags"
    )


def test_bytes_that_cannot_be_decoded_are_refused(compiled):
    code = read_machine_code(compiled('asm(".text; .byte 0x06,0x06; ret");'))
    assert "unknown" in code.extensions
    with pytest.raises(ExportError, match="unknown instructions"):
        check_machine_code(code, 4, "the library")


@pytest.mark.parametrize("level", [None, 2, 3, 4])
def test_a_parallel_region_is_refused_for_each_target(compiled, level):
    code = read_machine_code(compiled(PARALLEL, "-fopenmp", "-march=x86-64-v2"))
    assert code.parallel_regions == ("GOMP_parallel",)
    assert "libgomp.so.1" in code.libraries
    with pytest.raises(
        ExportError, match=r"starts threads with GOMP_parallel: compile it with cpp\.threads = 1"
    ):
        check_machine_code(code, level, "the library")


def test_openmp_without_threads_is_accepted(compiled):
    code = read_machine_code(compiled(SIMD, "-fopenmp", "-march=x86-64-v2"))
    assert code.parallel_regions == ()
    check_machine_code(code, 2, "the library")


@pytest.mark.parametrize(
    "name", ["GOMP_parallel_loop_static", "GOMP_teams_reg", "__kmpc_fork_call", "omp_set_num_threads"]
)
def test_each_way_to_start_threads_is_known(compiled, name):
    source = f'extern "C" void {name}(); extern "C" void f() {{ {name}(); }}'
    assert read_machine_code(compiled(source)).parallel_regions == (name,)


def test_a_function_of_its_own_with_such_a_name_starts_no_thread(compiled):
    source = 'extern "C" void GOMP_parallel() {} extern "C" void f() { GOMP_parallel(); }'
    assert read_machine_code(compiled(source)).parallel_regions == ()


def test_names_in_a_listing_are_not_instructions(compiled):
    source = 'asm(".text; call \\"vaddps %zmm1\\"; ret");'
    code = read_machine_code(compiled(source))
    assert (code.vector_registers, code.extensions) == ((), ())


@pytest.mark.parametrize(("section", "found"), [(".rodata", False), (".text", True)])
def test_only_executable_sections_are_read(compiled, section, found):
    # vaddps %zmm0,%zmm0,%zmm0
    source = f'asm(".section {section}; .byte 0x62,0xf1,0x7c,0x48,0x58,0xc0; .text");'
    assert ("zmm" in read_machine_code(compiled(source)).vector_registers) is found


def test_versions_are_compared_as_numbers(compiled):
    # strlen is of 2.2.5, memcpy of 2.14; inserting into a stream of 3.4.9, std::string of 3.4.21.
    source = """
    #include <cstring>
    #include <iostream>
    extern "C" unsigned long f(char* a, const char* b, unsigned long n) { memcpy(a, b, n); return strlen(a); }
    extern "C" void g(std::string& a, const char* b) { std::cout << a << a.append(b); }
    """
    code = read_machine_code(compiled(source, "-Wl,--as-needed"))
    assert code.glibc == "2.14"
    assert [int(part) for part in code.glibcxx.split(".")] >= [3, 4, 21]
    assert set(code.libraries) >= {"libstdc++.so.6", "libc.so.6"}
    shorter = read_machine_code(compiled(source.replace("memcpy(a, b, n);", ""), name="shorter"))
    assert shorter.glibc == "2.2.5"


def test_a_library_without_imports_needs_no_version(compiled):
    code = read_machine_code(compiled('extern "C" int f() { return 1; }', "-nostdlib"))
    assert (code.glibc, code.glibcxx, code.libraries) == ("", "", ())


def test_packed_relocations_need_the_glibc_that_has_them(compiled):
    source = """
    extern "C" unsigned long strlen(const char*);
    const char* a[] = {"b", "c"};
    extern "C" unsigned long f() { return strlen(a[0]); }
    """
    library = compiled(source, "-fno-builtin", "-Wl,-z,pack-relative-relocs")
    listing = subprocess.run(
        ["objdump", "-p", str(library)], capture_output=True, text=True, check=True
    ).stdout
    if "GLIBC_ABI_DT_RELR" not in listing:
        pytest.skip("this linker or glibc has no packed relative relocations")
    assert read_machine_code(library).glibc == "2.36"


def test_a_stripped_library_reads_the_same(compiled):
    whole = compiled(PARALLEL, "-fopenmp", "-march=x86-64-v3")
    stripped = compiled(PARALLEL, "-fopenmp", "-march=x86-64-v3", "-s", name="stripped")
    assert read_machine_code(stripped) == read_machine_code(whole)


def test_the_mapping_is_json(compiled):
    code = read_machine_code(compiled(LOOP, "-march=x86-64-v3"))
    mapping = code.to_mapping()
    assert json.loads(json.dumps(mapping)) == mapping
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in mapping.items()}
    assert MachineCode(**fields) == code


def test_the_language_of_the_user_does_not_matter(compiled, monkeypatch):
    library = compiled(LOOP)
    expected = read_machine_code(library)
    for name in ("LC_ALL", "LANG", "LANGUAGE"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    assert read_machine_code(library) == expected


def test_a_missing_objdump_is_named(compiled, monkeypatch, tmp_path):
    library = compiled(LOOP)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"there is no 'objdump', .*: install binutils"):
        read_machine_code(library)


def test_an_objdump_that_dies_part_way_is_an_error(compiled, monkeypatch, tmp_path):
    library = compiled(LOOP)
    fake = tmp_path / "bin" / "objdump"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        "[ $1 = -d ] || exit 0\n"
        "printf '    10:\\t90 \\tnop\\n'\n"
        "echo 'objdump: no memory' >&2\n"
        "exit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ExportError, match=r"cannot read .*library\.so as a shared library: no memory"):
        read_machine_code(library)


def test_what_is_no_library_is_refused(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    for path in (text, tmp_path / "missing.so", tmp_path):
        with pytest.raises(ExportError, match=f"objdump cannot read {path} as a shared library"):
            read_machine_code(path)


def test_a_library_without_code_is_refused(compiled):
    with pytest.raises(ExportError, match="has no machine code"):
        read_machine_code(compiled("int a = 1;", "-nostdlib"))


def test_a_library_for_another_machine_is_refused(tmp_path):
    for command in (
        ["as", "--32", "-o", "a.o", "-"],
        ["ld", "-m", "elf_i386", "-shared", "-o", "a.so", "a.o"],
    ):
        subprocess.run(command, cwd=tmp_path, input="nop\n", text=True, check=True)
    with pytest.raises(ExportError, match=r"no library for x86-64 \(elf32-i386\)"):
        read_machine_code(tmp_path / "a.so")
