"""Which instruction-set extension of x86-64 a disassembled instruction belongs to.

The invariant: every instruction that binutils 2.40 knows and a user's program may run needs exactly the
extensions named here, and an instruction that objdump cannot decode is `unknown`. The first bytes of an
instruction say whether it is coded plainly, with VEX or EVEX (Intel 64 manual, volume 2, 2.3 and 2.7) or
with XOP (AMD64 manual, volume 6); each coding has its table of mnemonics. Instructions newer than the
tables count as avx if coded with VEX and as avx512f if coded with EVEX.

An extension has its name of `/proc/cpuinfo`, apart from two that are better known as `sse3` (`pni`) and
`lzcnt` (`abm`). `tzcnt` is in no table: compilers emit it for the baseline too, as
older CPUs run it as `bsf`. Neither are privileged instructions, which no library can run, hints that older
CPUs skip, such as `endbr64`, the rest of the shadow stack's, and those of VIA's CPUs. This module imports
no torch.

>>> extensions_of("c5 f4 58 c2", "vaddps", "%ymm2,%ymm1,%ymm0")
('avx',)
>>> extensions_of("c5 f5 fe c2", "vpaddd", "%ymm2,%ymm1,%ymm0")
('avx2',)
>>> extensions_of("62 f1 75 28 fc c2", "vpaddb", "%ymm2,%ymm1,%ymm0")
('avx512bw', 'avx512vl')
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from soaflow.cpu import extensions_of_level

UNKNOWN = "unknown"
"""The extension of bytes in an executable section that objdump cannot decode."""

LEVELS: Mapping[int, frozenset[str]] = {
    level: extensions_of_level(level) - extensions_of_level(1) for level in (2, 3, 4)
}
"""Extensions that each level of x86-64 has beyond the baseline (x86-64 psABI, table 3.1)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the instructions of some extensions are recognised.

    Parameters
    ----------
    extensions
        What the instructions need, blank-separated.
    mnemonic
        Pattern of the whole mnemonic, as objdump writes it in AT&T syntax.
    operands
        Pattern that occurs in the operands.
    """

    extensions: str
    mnemonic: str
    operands: str = ""


PLAIN: tuple[Rule, ...] = (
    Rule("sse3", r"addsubp[sd]|h(add|sub)p[sd]|lddqu|mov(d|sh|sl)dup|fisttp(s|l|ll)?"),
    Rule("ssse3", r"pabs[bdw]|palignr|ph(add|sub)(d|sw|w)|pmaddubsw|pmulhrsw|pshufb|psign[bdw]"),
    Rule("sse4_1", r"blendv?p[sd]|dpp[sd]|extractps|insertps|movntdqa|mpsadbw|packusdw|pblend(vb|w)|pcmpeqq"),
    Rule("sse4_1", r"p(extr|insr)[bdq]|phminposuw|p(max|min)(s[bd]|u[dw])|pmov[sz]x(b[dqw]|dq|w[dq])"),
    Rule("sse4_1", r"pmul(dq|ld)|ptest|round[ps][sd]"),
    Rule("sse4_1", r"pextrw", r"\("),
    Rule("sse4_2", r"crc32[bwlq]?|pcmp[ei]str[im]q?|pcmpgtq"),
    Rule("popcnt", r"popcnt[wlq]?"),
    Rule("cx16", r"cmpxchg16b"),
    Rule("lahf_lm", r"[ls]ahf"),
    Rule("lzcnt", r"lzcnt[wlq]?"),
    Rule("movbe", r"movbe[wlq]?"),
    Rule("xsave", r"xgetbv|(xsave|xrstor)(64)?"),
    Rule("xsaveopt", r"xsaveopt(64)?"),
    Rule("xsavec", r"xsavec(64)?"),
    Rule("aes", r"aes(dec|enc)(last)?|aesimc|aeskeygenassist"),
    Rule("pclmulqdq", r"pclmul[hlq]*dq"),
    Rule("sha_ni", r"sha(1|256)\w+"),
    Rule("gfni", r"gf2p8\w+"),
    Rule("adx", r"ad[co]x[lq]?"),
    Rule("rdrand", r"rdrand[wlq]?"),
    Rule("rdseed", r"rdseed[wlq]?"),
    Rule("fsgsbase", r"(rd|wr)[fg]sbase[lq]?"),
    Rule("rdtscp", r"rdtscp"),
    Rule("rdpid", r"rdpid"),
    Rule("pku", r"(rd|wr)pkru"),
    Rule("sse4a", r"extrq|insertq|movnts[sd]"),
    Rule("3dnow", r"femms|pavgusb|pf\w+|pi2f[dw]|pmulhrw|pswapd"),
    Rule("3dnowprefetch", r"prefetchw?"),
    Rule("prefetchwt1", r"prefetchwt1"),
    Rule("clflushopt", r"clflushopt"),
    Rule("clwb", r"clwb"),
    Rule("cldemote", r"cldemote"),
    Rule("clzero", r"clzero"),
    Rule("rtm", r"xabort|xbegin[wlq]?|xend|xtest"),
    Rule("tsxldtrk", r"x(res|sus)ldtrk"),
    Rule("movdiri", r"movdiri"),
    Rule("movdir64b", r"movdir64b"),
    Rule("enqcmd", r"enqcmds?"),
    Rule("serialize", r"serialize"),
    Rule("waitpkg", r"tpause|umonitor|umwait"),
    Rule("mwaitx", r"monitorx|mwaitx"),
    Rule("uintr", r"clui|senduipi|stui|testui|uiret"),
    Rule("kl", r"aes(dec|enc)(wide)?(128|256)kl|encodekey(128|256)"),
    Rule("ptwrite", r"ptwrite[lq]?"),
    Rule("rdpru", r"rdpru"),
    Rule("raoint", r"a(add|and|or|xor)"),
)
"""For instructions coded without VEX, EVEX or XOP; the first that fits counts, none means baseline."""

VEX: tuple[Rule, ...] = (
    Rule("amx_int8", r"tdpb[su][su]d"),
    Rule("amx_bf16", r"tdpbf16ps"),
    Rule("amx_fp16", r"tdpfp16ps"),
    Rule("amx_tile", r"(ld|st)tilecfg|t\w+"),
    Rule("cmpccxadd", r"cmp\w+xadd"),
    Rule("bmi1", r"(andn|bextr|blsi|blsmsk|blsr)[lq]?"),
    Rule("bmi2", r"(bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lq]?"),
    Rule("fma", r"vfn?m(add|sub|addsub|subadd)(132|213|231)[ps][sd]"),
    Rule("fma4", r"vfn?m(add|sub|addsub|subadd)[ps][sd]"),
    Rule("xop", r"vpermil2p[sd]"),
    Rule("f16c", r"vcvtph2ps|vcvtps2ph"),
    Rule("avx512dq", r"k\w+b|k(add|test)w"),
    Rule("avx512bw", r"k\w+[dq]"),
    Rule("avx512f", r"k\w+w"),
    Rule("vaes", r"vaes\w+", r"%ymm"),
    Rule("aes avx", r"vaes\w+"),
    Rule("vpclmulqdq", r"vpclmul\w+", r"%ymm"),
    Rule("avx pclmulqdq", r"vpclmul\w+"),
    Rule("avx gfni", r"vgf2p8\w+"),
    Rule("avx_vnni", r"vpdp(busd|wssd)s?"),
    Rule("avx_vnni_int8", r"vpdpb(ss|su|uu)ds?"),
    Rule("avx_vnni_int16", r"vpdpw(su|us|uu)ds?"),
    Rule("avx_ifma", r"vpmadd52[hl]uq"),
    Rule("avx_ne_convert", r"vbcstne\w+|vcvtne\w+"),
    Rule("sha512", r"vsha512\w+"),
    Rule("sm3", r"vsm3\w+"),
    Rule("sm4", r"vsm4\w+"),
    Rule("avx2", r"vpbroadcast[bdqw]|vbroadcasti128|vp(erm2|ermd|ermps|ermq|ermpd|blendd)(i128)?"),
    Rule("avx2", r"vps(llv|rlv|rav)[dq]|vpmaskmov[dq]|vp?gather\w+|v(insert|extract)i128"),
    Rule("avx2", r"vbroadcasts[sd]", r"^%"),
    Rule("avx2", r"vp(?!erm2f128|ermilp|test)\w+|vmpsadbw|vmovntdqa", r"%ymm"),
    Rule("avx", r".+"),
)
"""For instructions coded with VEX, opmask instructions among them."""

EVEX: tuple[Rule, ...] = (
    Rule("apx", r"[^v].*"),
    Rule("avx512f", r"vcvtph2ps|vcvtps2ph"),
    Rule("avx512_fp16", r"vcvt\w*[ps]h\w*|v\w+[ps]h[xyz]?|vmovw"),
    Rule("avx512_bf16", r"vcvtne2?ps2bf16[xyz]?|vdpbf16ps"),
    Rule("avx512_vnni", r"vpdp(busd|wssd)s?"),
    Rule("avx512_vbmi2", r"vp(compress|expand)[bw]|vpsh[lr]dv?[wdq]"),
    Rule("avx512vbmi", r"vperm([it]2)?b|vpmultishiftqb"),
    Rule("avx512_bitalg", r"vpopcnt[bw]|vpshufbitqmb"),
    Rule("avx512_vpopcntdq", r"vpopcnt[dq]"),
    Rule("avx512ifma", r"vpmadd52[hl]uq"),
    Rule("avx512_vp2intersect", r"vp2intersect[dq]"),
    Rule("avx512cd", r"vpconflict[dq]|vplzcnt[dq]|vpbroadcastm(b2q|w2d)"),
    Rule("avx512er", r"vexp2p[sd]|v(rcp|rsqrt)28[ps][sd]"),
    Rule("avx512pf", r"v(gather|scatter)pf[01]\w+"),
    Rule("avx512_4fmaps", r"v4fn?madd[ps]s"),
    Rule("avx512_4vnniw", r"vp4dpwssds?"),
    Rule("avx512f vaes", r"vaes\w+"),
    Rule("avx512f vpclmulqdq", r"vpclmul\w+"),
    Rule("avx512f gfni", r"vgf2p8\w+"),
    Rule("avx512bw", r"vmovdqu(8|16)|vpabs[bw]|vpack[su]s(dw|wb)|vp(add|sub)(s|us)?[bw]|vpalignr|vpavg[bw]"),
    Rule("avx512bw", r"vpblendm[bw]|vpbroadcast[bw]|vpcmp\w*[bw]|vperm([it]2)?w|vp(extr|insr)[bw]"),
    Rule("avx512bw", r"vpmadd(ubsw|wd)|vp(max|min)[su][bw]|vpmov([bw]2m|m2[bw])|vpmov(us|s)?wb"),
    Rule("avx512bw", r"vpmov[sz]xbw|vpmul(h|hrs|hu|l)w|vd?b?psadbw|vpshuf(b|hw|lw)|vps[lr]ldq"),
    Rule("avx512bw", r"vps(ll|ra|rl)v?w|vptestn?m[bw]|vpunpck[hl](bw|wd)"),
    Rule("avx512dq", r"v(andn?|x?or)p[sd]|vbroadcast[fi](32x2|64x2|32x8)|v(extract|insert)[fi](64x2|32x8)"),
    Rule("avx512dq", r"vcvtt?p[sd]2u?qq|vcvtu?qq2p[sd][xyz]?|vfpclass[ps][sd][xyz]?|vp(extr|insr)[dq]"),
    Rule("avx512dq", r"vpmov([dq]2m|m2[dq])|vpmullq|v(range|reduce)[ps][sd]"),
    Rule("avx512f", r".+"),
)
"""For instructions coded with EVEX; those on less than 512 bits need avx512vl besides."""

XOP: tuple[Rule, ...] = (
    Rule("lwp", r"llwpcb|slwpcb|lwpins|lwpval"),
    Rule("tbm", r"bextr[lq]?|bl(c|s)\w+|t1mskc|tzmsk"),
    Rule("xop", r".+"),
)
"""For instructions coded with XOP."""

REX2: tuple[Rule, ...] = (Rule("apx", r".+"),)
"""For instructions coded with REX2, which reaches 32 general registers."""

# These work on one element, so their coding of the vector length means nothing.
_ONE_ELEMENT = re.compile(
    r"v(?!p|broadcast)\w*s[sdh]|vcvt\w*si2\w+|vcvtt?s[sdh]2\w+|vmov[dqw]|vmov[hl]{1,2}p[sd]"
    r"|v(extract|insert)ps|vp(extr|insr)[bdqw]"
)

_TABLES: Mapping[str, tuple[Rule, ...]] = {"c4": VEX, "c5": VEX, "62": EVEX, "8f": XOP, "d5": REX2}
_BEFORE_THE_CODING = frozenset({"26", "2e", "36", "3e", "64", "65", "67"})


def extensions_of(code: str, mnemonic: str, operands: str) -> tuple[str, ...]:
    """Return the extensions beyond the baseline that an instruction needs.

    Parameters
    ----------
    code
        Its bytes in hexadecimal, separated by blanks.
    mnemonic
        As objdump writes it in AT&T syntax, without prefixes.
    operands
        Likewise, without a comment.
    """
    if mnemonic == "(bad)":
        return (UNKNOWN,)
    digits = code.split()
    start = next((i for i, byte in enumerate(digits) if byte not in _BEFORE_THE_CODING), 0)
    coding = digits[start]
    for rule in _candidates(coding, mnemonic):
        if not rule.operands or re.search(rule.operands, operands):
            names = tuple(rule.extensions.split())
            short = coding == "62" and _is_short(digits[start:]) and not _ONE_ELEMENT.fullmatch(mnemonic)
            return (*names, "avx512vl") if short else names
    return ()


@functools.cache
def _candidates(coding: str, mnemonic: str) -> tuple[Rule, ...]:
    table = _TABLES.get(coding, PLAIN)
    # The one-byte opcode 8f is pop; XOP took those of its codes that pop does not use.
    table = PLAIN if mnemonic.startswith("pop") and coding == "8f" else table
    return tuple(rule for rule in table if re.fullmatch(rule.mnemonic, mnemonic))


def _is_short(digits: list[str]) -> bool:
    """Say whether the vectors of an instruction coded with EVEX have less than 512 bits."""
    third, modrm = int(digits[3], 16), int(digits[5], 16)
    rounds = third & 0x10 and modrm >> 6 == 3  # then the length's bits hold the rounding mode
    return not rounds and third >> 5 & 3 < 2
