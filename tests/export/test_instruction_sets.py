"""The tables are held against the GNU assembler, which knows what each instruction needs."""

import re
import subprocess
from pathlib import Path

import pytest

from soaflow.export.instruction_sets import EVEX, LEVELS, PLAIN, REX2, UNKNOWN, VEX, XOP, extensions_of

EXAMPLES = {
    "": """
        endbr64 pause rdtsc cpuid:
        tzcnt bsr: %eax,%ebx
        verr: %ax
        verw prefetchnta prefetcht0 pop: (%rax)
        rep: stosb
        lock: cmpxchg8b (%rax)
        notrack: jmp *%rax
        pextrw: $1,%xmm1,%eax
        cvtsi2sd: %eax,%xmm1
        paddd pmuludq pmaxsw pminub addss comiss sqrtpd: %xmm2,%xmm1
        pshufd shufps cmpps: $1,%xmm2,%xmm1
        movnti: %eax,(%rax)
        movss movdqu: (%rax),%xmm1
        fs: movq 0x28,%rax
        cs: nopw 0(%rax,%rax)""",
    "sse3": """
        addsubps addsubpd haddpd haddps hsubps hsubpd movddup movshdup movsldup: %xmm2,%xmm1
        lddqu: (%rax),%xmm1
        fisttps fisttpl fisttpll: (%rax)""",
    "ssse3": """
        pabsb pabsd phaddd phsubsw pmaddubsw pmulhrsw pshufb psignw: %xmm2,%xmm1
        palignr: $1,%xmm2,%xmm1
        pabsw: %mm1,%mm2""",
    "sse4_1": """
        blendps dppd insertps mpsadbw pblendw roundps roundsd roundss: $1,%xmm2,%xmm1
        blendvpd pblendvb: %xmm0,%xmm2,%xmm1
        packusdw pcmpeqq phminposuw pmaxsb pmaxud pminsd pminuw pmovsxbw: %xmm2,%xmm1
        pmovzxdq pmovsxwd pmuldq pmulld ptest: %xmm2,%xmm1
        pinsrb pinsrd: $1,%eax,%xmm1
        pextrb pextrd pextrw: $1,%xmm1,(%rax)
        extractps: $1,%xmm1,%eax
        movntdqa: (%rax),%xmm1""",
    "sse4_2": """
        crc32b crc32w crc32l: (%rax),%eax
        pcmpestri pcmpistrm: $1,%xmm2,%xmm1
        pcmpgtq: %xmm2,%xmm1""",
    "popcnt": "popcnt: (%rax),%bx",
    "cx16": "lock: cmpxchg16b (%rax)",
    "lahf_lm": "lahf sahf:",
    "lzcnt": """
        lzcnt: %eax,%ebx
        rep: bsr %eax,%ebx""",
    "movbe": "movbe: (%rax),%ebx",
    "xsave": """
        xgetbv:
        xsave xrstor64: (%rax)""",
    "xsaveopt": "xsaveopt: (%rax)",
    "xsavec": "xsavec64: (%rax)",
    "aes": """
        aesenc aesdeclast aesimc: %xmm2,%xmm1
        aeskeygenassist: $1,%xmm2,%xmm1""",
    "pclmulqdq": "pclmullqlqdq pclmulhqhqdq: %xmm2,%xmm1",
    "sha_ni": "sha1msg1 sha256msg2: %xmm2,%xmm1",
    "gfni": "gf2p8mulb: %xmm2,%xmm1",
    "adx": "adcx adox: %eax,%ebx",
    "rdrand": "rdrand: %eax",
    "rdseed": "rdseed: %rax",
    "fsgsbase": "rdfsbase wrgsbase: %rax",
    "rdtscp": "rdtscp:",
    "rdpid": "rdpid: %rax",
    "pku": "rdpkru wrpkru:",
    "sse4a": """
        extrq insertq: %xmm1,%xmm2
        movntss: %xmm1,(%rax)""",
    "3dnow": """
        femms:
        pavgusb pfadd pf2id pi2fw pmulhrw pswapd: %mm1,%mm2""",
    "3dnowprefetch": "prefetchw: (%rax)",
    "prefetchwt1": "prefetchwt1: (%rax)",
    "clflushopt": "clflushopt: (%rax)",
    "clwb": "clwb: (%rax)",
    "cldemote": "cldemote: (%rax)",
    "clzero": "clzero:",
    "rtm": """
        xend xtest:
        xabort: $1
        xbegin: .""",
    "tsxldtrk": "xresldtrk xsusldtrk:",
    "movdiri": "movdiri: %eax,(%rax)",
    "movdir64b": "movdir64b: (%rax),%rbx",
    "enqcmd": "enqcmd enqcmds: (%rax),%rbx",
    "serialize": "serialize:",
    "waitpkg": "tpause umonitor umwait: %eax",
    "mwaitx": "monitorx mwaitx:",
    "uintr": """
        clui stui testui uiret:
        senduipi: %rax""",
    "kl": """
        aesenc128kl: (%rax),%xmm1
        aesdecwide256kl: (%rax)
        encodekey128: %eax,%ebx""",
    "ptwrite": "ptwrite: %rax",
    "rdpru": "rdpru:",
    "raoint": "aor axor: %eax,(%rbx)",
    "amx_tile": """
        ldtilecfg: (%rax)
        tileloadd: (%rax,%rbx),%tmm1
        tilezero: %tmm1
        tilerelease:""",
    "amx_int8": "tdpbssd tdpbuud: %tmm1,%tmm2,%tmm3",
    "amx_bf16": "tdpbf16ps: %tmm1,%tmm2,%tmm3",
    "amx_fp16": "tdpfp16ps: %tmm1,%tmm2,%tmm3",
    "cmpccxadd": "cmpexadd cmpnlexadd: %eax,%ebx,(%rcx)",
    "bmi1": """
        andn bextr: %eax,%ebx,%ecx
        blsi blsmsk blsr: %eax,%ebx""",
    "bmi2": """
        bzhi mulx pdep pext sarx shlx shrx: %eax,%ebx,%ecx
        rorx: $1,%rax,%rbx""",
    "fma": """
        vfmadd132ps vfnmadd213sd vfmsub231ss vfnmsub231pd: %xmm3,%xmm2,%xmm1
        vfmaddsub231pd vfmsubadd132ps: %ymm3,%ymm2,%ymm1""",
    "fma4": "vfmaddps vfnmsubsd vfmaddsubpd: %xmm1,%xmm2,%xmm3,%xmm4",
    "xop": """
        vpermil2ps: $1,%xmm1,%xmm2,%xmm3,%xmm4
        vfrczps vphaddbd: %xmm1,%xmm2""",
    "lwp": """
        llwpcb slwpcb: %rax
        lwpins lwpval: $1,%eax,%rbx""",
    "tbm": """
        bextr: $1,%eax,%ebx
        blcfill blsic t1mskc tzmsk: %eax,%ebx""",
    "f16c": """
        vcvtph2ps: %xmm1,%ymm2
        vcvtps2ph: $1,%ymm1,%xmm2""",
    "aes avx": "vaesenc: %xmm3,%xmm2,%xmm1",
    "avx pclmulqdq": "vpclmulqdq: $3,%xmm3,%xmm2,%xmm1",
    "avx gfni": "vgf2p8mulb: %ymm3,%ymm2,%ymm1",
    "vaes": "vaesdec: %ymm3,%ymm2,%ymm1",
    "vpclmulqdq": "vpclmulqdq: $3,%ymm3,%ymm2,%ymm1",
    "avx_vnni": "{vex}: vpdpbusd %ymm3,%ymm2,%ymm1",
    "avx_vnni_int8": "vpdpbssd vpdpbsuds vpdpbuud: %ymm3,%ymm2,%ymm1",
    "avx_ifma": "{vex}: vpmadd52huq %ymm3,%ymm2,%ymm1",
    "avx_ne_convert": """
        vbcstnebf162ps: (%rax),%xmm1
        vcvtneeph2ps: (%rax),%ymm1""",
    "avx": """
        vaddps vdivsd vmaxps vsqrtss vxorps vpaddd vpshufb vpmulld vpackusdw vcmpltps: %xmm3,%xmm2,%xmm1
        vaddps vaddss vandpd vpermilps: (%rax),%xmm2,%xmm1
        vaddps vandpd vpermilps: %ymm3,%ymm2,%ymm1
        vzeroupper:
        vbroadcastss vmovdqu: (%rax),%ymm1
        vmovss vmovntdqa: (%rax),%xmm1
        vperm2f128: $1,%ymm3,%ymm2,%ymm1
        vptest: %ymm1,%ymm2
        vextractf128: $1,%ymm1,%xmm2
        vmaskmovps: (%rax),%ymm1,%ymm2
        vmovd: %eax,%xmm1
        vcvttss2si: %xmm1,%rax""",
    "avx2": """
        vpaddd vpshufb vpcmpeqb vpand vpermd vpackusdw: %ymm3,%ymm2,%ymm1
        vpsllvd vpsrlvq vpsravd: %xmm3,%xmm2,%xmm1
        vmpsadbw vperm2i128: $1,%ymm3,%ymm2,%ymm1
        vpblendd: $1,%xmm3,%xmm2,%xmm1
        vpslld vpermpd: $1,%ymm1,%ymm2
        vpbroadcastb: %xmm1,%xmm2
        vbroadcastss vbroadcastsd: %xmm1,%ymm2
        vbroadcasti128 vmovntdqa: (%rax),%ymm1
        vpmaskmovd: (%rax),%xmm1,%xmm2
        vpgatherdd: %xmm1,(%rax,%xmm2),%xmm3
        vgatherqps: %xmm1,(%rax,%ymm2),%xmm3
        vinserti128: $1,%xmm1,%ymm2,%ymm3
        vextracti128: $1,%ymm1,%xmm2
        vpmovmskb: %ymm1,%eax""",
    "avx512f": """
        vaddps vpaddd vpermps vscalefps vfmadd231ps: %zmm3,%zmm2,%zmm1
        vpternlogd: $1,%zmm3,%zmm2,%zmm1
        vaddps: {rn-sae},%zmm3,%zmm2,%zmm1
        vmovups vrcp14pd: (%rax),%zmm1{%k1}
        vpcmpeqd: %zmm1,%zmm2,%k1
        vaddss vfmadd231sd vgetexpss: %xmm17,%xmm2,%xmm1
        vrndscalesd vinsertps: $1,%xmm17,%xmm2,%xmm1
        vcomiss: %xmm17,%xmm1
        vmovhps: (%rax),%xmm17,%xmm1
        vcvtusi2sd: %rax,%xmm2,%xmm1
        vcvtusi2sdl: (%rax),%xmm2,%xmm1
        vcvttss2usi: %xmm1,%eax
        vmovd: %eax,%xmm17
        vcvtph2ps: %ymm1,%zmm2
        vcvtps2ph: $1,%zmm1,%ymm2
        vcvtpd2ps: (%rax){1to8},%ymm1
        kmovw knotw kortestw: %k1,%k2
        kunpckbw: %k1,%k2,%k3""",
    "avx512f avx512vl": """
        vpaddd vaddps: %xmm17,%xmm2,%xmm1
        vpternlogd: $1,%ymm3,%ymm2,%ymm1
        vaddps: (%rax){1to8},%ymm1,%ymm2
        vpcmpeqd: %ymm1,%ymm2,%k1
        vmovdqu32: (%rax),%xmm1
        vpcompressd vpabsd vbroadcastss: %xmm1,%xmm17
        vcvtpd2psx vcvtph2ps: (%rax),%xmm17""",
    "avx512bw": """
        vmovdqu8 vmovdqu16: (%rax),%zmm2
        vpabsb: %zmm1,%zmm2
        vpacksswb vpackusdw vpaddb vpsubusw vpavgw vpblendmb vpshufb vpsllvw vpsravw: %zmm3,%zmm2,%zmm1
        vpermw vpermi2w vpmaddubsw vpmaddwd vpmaxsb vpminuw vpmulhrsw vpmulhuw vpmullw: %zmm3,%zmm2,%zmm1
        vpsadbw vpunpckhbw vpunpcklwd: %zmm3,%zmm2,%zmm1
        vpalignr vdbpsadbw: $1,%zmm3,%zmm2,%zmm1
        vpshufhw vpslldq: $1,%zmm1,%zmm2
        vpbroadcastw: %eax,%zmm1
        vpcmpeqb vpcmpltuw vpcmpgtw vptestnmb: %zmm1,%zmm2,%k1
        vpextrb: $1,%xmm17,%eax
        vpmovb2m vpmovw2m: %zmm1,%k1
        vpmovm2b: %k1,%zmm1
        vpmovuswb: %zmm1,%ymm1
        vpmovsxbw: %ymm1,%zmm2
        kmovd kmovq kortestd: %k1,%k2
        kaddd kunpckwd kunpckdq: %k1,%k2,%k3""",
    "avx512bw avx512vl": """
        vmovdqu8: (%rax),%ymm2
        vpaddb: %xmm17,%xmm2,%xmm1
        vpcmpub: $1,%xmm1,%xmm2,%k1""",
    "avx512dq": """
        vandps vandnpd vorps vxorpd vpmullq: %zmm3,%zmm2,%zmm1
        vrangeps: $1,%zmm3,%zmm2,%zmm1
        vreducesd: $1,%xmm3,%xmm2,%xmm1
        vbroadcastf32x2: %xmm1,%zmm2
        vinserti64x2: $1,%xmm1,%zmm2,%zmm3
        vextractf32x8: $1,%zmm1,%ymm2
        vcvtpd2qq vcvttpd2uqq: %zmm1,%zmm2
        vcvtuqq2ps: %zmm1,%ymm2
        vfpclassps: $1,%zmm1,%k1
        vfpclasssd: $1,%xmm1,%k1
        vpextrq: $1,%xmm17,%rax
        vpmovd2m: %zmm1,%k1
        vpmovm2q: %k1,%zmm1
        kmovb ktestw: %k1,%k2
        kaddb kandb kaddw: %k1,%k2,%k3""",
    "avx512cd": """
        vpconflictd vplzcntq: %zmm1,%zmm2
        vpbroadcastmb2q: %k1,%zmm1""",
    "avx512_fp16": """
        vaddph vfmaddcph vfmadd231ph: %zmm3,%zmm2,%zmm1
        vaddsh vfcmulcsh: %xmm3,%xmm2,%xmm1
        vcvtph2dq vcvtph2psx: %ymm1,%zmm2
        vcvtps2phx: %zmm1,%ymm2
        vfpclassph: $1,%zmm1,%k1
        vmovw: %eax,%xmm1
        vcvtsi2sh: %eax,%xmm2,%xmm1""",
    "avx512_bf16": """
        vcvtne2ps2bf16 vdpbf16ps: %zmm3,%zmm2,%zmm1
        vcvtneps2bf16: %zmm1,%ymm2""",
    "avx512_vnni": "vpdpbusd vpdpbusds vpdpwssd: %zmm3,%zmm2,%zmm1",
    "avx512_vnni avx512vl": "vpdpbusd: %ymm17,%ymm2,%ymm1",
    "avx512_vbmi2": """
        vpcompressb vpexpandw: %zmm1,%zmm2
        vpshldw: $1,%zmm3,%zmm2,%zmm1
        vpshrdvq: %zmm3,%zmm2,%zmm1""",
    "avx512vbmi": "vpermb vpermi2b vpermt2b vpmultishiftqb: %zmm3,%zmm2,%zmm1",
    "avx512_bitalg": """
        vpopcntb vpopcntw: %zmm1,%zmm2
        vpshufbitqmb: %zmm1,%zmm2,%k1""",
    "avx512_vpopcntdq": "vpopcntd vpopcntq: %zmm1,%zmm2",
    "avx512ifma": "vpmadd52huq vpmadd52luq: %zmm3,%zmm2,%zmm1",
    "avx512_vp2intersect": "vp2intersectd vp2intersectq: %zmm1,%zmm2,%k2",
    "avx512er": """
        vexp2ps vrsqrt28pd: %zmm1,%zmm2
        vrcp28sd: %xmm3,%xmm2,%xmm1""",
    "avx512pf": """
        vgatherpf0dpd: (%rax,%ymm1){%k1}
        vscatterpf1qps: (%rax,%zmm1){%k1}""",
    "avx512_4fmaps": """
        v4fmaddps: (%rax),%zmm4,%zmm1
        v4fnmaddss: (%rax),%xmm4,%xmm1""",
    "avx512_4vnniw": "vp4dpwssds: (%rax),%zmm4,%zmm1",
    "avx512f vaes": "vaesenc: %zmm3,%zmm2,%zmm1",
    "avx512f vpclmulqdq": "vpclmulqdq: $1,%zmm3,%zmm2,%zmm1",
    "avx512f gfni": "vgf2p8mulb: %zmm3,%zmm2,%zmm1",
}
"""Instructions by what they need: in each line mnemonics, a colon and the operands that they share."""
GAS_NAMES = {
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
    "lahf_lm": "sse2",
    "bmi1": "bmi",
    "rdrand": "rdrnd",
    "pclmulqdq": "pclmul",
    "sha_ni": "sha",
    "raoint": "rao_int",
    "3dnow": "3dnowa",
    "3dnowprefetch": "prfchw",
    "pku": "ospke",
    "kl": "kl+widekl",
}
ELSEWHERE_FOR_GAS = re.compile(r"[ls]ahf|rep bsr .*|fisttp.*|tzcnt .*|endbr64|notrack .*")
"""gas takes some for the baseline, fisttp for nameless; older CPUs run the others as something harmless."""


def instructions(text: str) -> list[str]:
    found = []
    for line in text.strip().splitlines():
        mnemonics, _, operands = line.strip().partition(":")
        found += [f"{name} {operands.strip()}".strip() for name in mnemonics.split()]
    return found


EXPECTED = [
    (line, frozenset(names.split())) for names, text in EXAMPLES.items() for line in instructions(text)
]


def refused_by_gas(lines: list[str], extensions: frozenset[str], folder: Path) -> list[str]:
    """Give the instructions that need more than the baseline and some extensions."""
    source = folder / "level.s"
    source.write_text("\n".join(lines) + "\n")
    march = "+".join(["generic64", *(GAS_NAMES.get(name, name) for name in sorted(extensions))])
    command = ["as", "--64", f"-march={march}", "-o", str(folder / "level.o"), str(source)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return [lines[int(n) - 1] for n in re.findall(r"level\.s:(\d+): Error", process.stderr)]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """Bytes, mnemonic and operands of each of EXPECTED, as objdump gives them."""
    folder = tmp_path_factory.mktemp("instructions")
    source = "".join(f"example_{n}: {line}\n" for n, (line, _) in enumerate(EXPECTED))
    (folder / "all.s").write_text(source)
    subprocess.run(["as", "--64", "-o", "all.o", "all.s"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    command = ["objdump", "-d", "-w", "-M", "att", "all.o"]
    listing = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    found = []
    for block in re.split(r"<example_\d+>:\n", listing)[1:]:
        _, code, text = block.splitlines()[0].split("\t")
        words = re.sub(r"^((rep|lock|notrack|fs|data16|cs|\{vex\}) +)+(?=\w)", "", text).split(None, 1)
        found.append((code, words[0], words[1] if len(words) > 1 else ""))
    assert len(found) == len(EXPECTED)
    return found


def test_each_instruction_is_of_its_extensions_and_no_other(decoded):
    found = {line: frozenset(extensions_of(*one)) for (line, _), one in zip(EXPECTED, decoded, strict=True)}
    # Some lines stand in the table once for each coding.
    assert len(found) == len(EXPECTED)
    assert {line: sorted(names) for line, names in found.items() if names != dict(EXPECTED)[line]} == {}


@pytest.mark.parametrize("level", [1, *LEVELS])
def test_the_assembler_refuses_at_a_level_what_needs_more(level, tmp_path):
    allowed = LEVELS.get(level, frozenset())
    examples = [(line, names) for line, names in EXPECTED if not ELSEWHERE_FOR_GAS.fullmatch(line)]
    refused = refused_by_gas([line for line, _ in examples], allowed, tmp_path)
    assert set(refused) == {line for line, names in examples if not names <= allowed}


def test_the_assembler_accepts_each_instruction_with_its_extensions(tmp_path):
    for names, text in EXAMPLES.items():
        lines = [line for line in instructions(text) if not ELSEWHERE_FOR_GAS.fullmatch(line)]
        assert refused_by_gas(lines, frozenset(names.split()), tmp_path) == [], names


def test_each_rule_has_an_example(decoded):
    newer = {"avx_vnni_int16", "sha512", "sm3", "sm4", "apx"}  # than the oldest binutils supported
    seen = {frozenset(names) for _, names in EXPECTED}
    for rule in (*PLAIN, *VEX, *EVEX, *XOP, *REX2):
        if rule.extensions in newer:
            continue
        assert frozenset(rule.extensions.split()) in seen, rule
        assert any(re.fullmatch(rule.mnemonic, mnemonic) for _, mnemonic, _ in decoded), rule


def test_bytes_that_objdump_cannot_decode_are_unknown():
    assert extensions_of("06", "(bad)", "") == (UNKNOWN,)
    assert all(UNKNOWN not in allowed for allowed in LEVELS.values())


@pytest.mark.parametrize(
    ("code", "mnemonic", "operands", "expected"),
    [
        ("c4 e2 75 d2 c2", "vpdpwuud", "%ymm2,%ymm1,%ymm0", ("avx_vnni_int16",)),
        ("c4 e2 7f cc c1", "vsha512msg1", "%xmm1,%ymm0", ("sha512",)),
        ("c4 e2 70 da c2", "vsm3msg1", "%xmm2,%xmm1,%xmm0", ("sm3",)),
        ("c4 e2 72 da c2", "vsm4key4", "%xmm2,%xmm1,%xmm0", ("sm4",)),
        ("d5 10 01 c0", "add", "%r16,%rax", ("apx",)),
        ("62 f4 7c 18 01 c0", "add", "%eax,%eax,%eax", ("apx",)),
        ("c4 e2 75 99 c2", "vnewest", "%ymm2,%ymm1,%ymm0", ("avx",)),
        ("62 f2 75 28 99 c2", "vnewest.odd", "%ymm2,%ymm1,%ymm0", ("avx512f", "avx512vl")),
        ("64 67 62 f1 74 28 58 00", "vaddps", "%fs:(%eax),%ymm1,%ymm0", ("avx512f", "avx512vl")),
        ("64 c5 f4 58 00", "vaddps", "%fs:(%rax),%ymm1,%ymm0", ("avx",)),
    ],
)
def test_instructions_newer_than_the_assembler(code, mnemonic, operands, expected):
    assert extensions_of(code, mnemonic, operands) == expected


def test_levels_hold_those_below():
    assert LEVELS[2] < LEVELS[3] < LEVELS[4]
