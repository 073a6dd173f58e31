#!/usr/bin/env python3
"""worldsim.py - make and evolve game-server data for measuring backups.

Python >= 3.11, stdlib + numpy.  (If the PyPI module `lz4` is importable, `estimate` uses it for
exact lz4 sizes; otherwise it falls back to zlib level 1 and says so.)

  worldsim.py create   DIR --regions 64 --seed 1        a Java-edition world (Anvil .mca, zlib level 6)
  worldsim.py play     DIR --minutes 60 --players 4 --seed 2 [--alloc modern|inplace] [--style mixed]
  worldsim.py verify   DIR                              parse every chunk, check the sector map
  worldsim.py stat     DIR                              sizes, sectors per chunk, holes, slack
  worldsim.py diff     A B                              what changed, counted in Minecraft chunks
  worldsim.py estimate DIR --state F [--label x]        what each way of cutting would add to a borg repo
  worldsim.py sqlite   DIR --blocks 60000 --seed 1      a Luanti-like map.sqlite; again with
  worldsim.py sqlite   DIR --play 60 --players 4 --seed 2    ... to let it evolve

The same arguments give the same bytes (same numpy/zlib builds).  The simulator's own state is kept in
`DIR.state.json` beside the world, never inside it.

Model, in short (the numbers were set against real worlds, see docs/design/world-cuts.md):
 * terrain: hashed value noise -> height, biomes, caves, ore blobs, trees, plants, packed block states, sky and
   block light, heightmaps; a fully generated overworld chunk comes to about 5-6 KiB deflated, i.e. 2 sectors;
   a rim of unfinished chunks (about 350 B, 1 sector) surrounds the explored area, as in real worlds.
 * writes: `modern` = Minecraft 1.15+: first-fit *new* sectors, header, then the old sectors are freed, so a
   rewritten chunk always moves and the old bytes stay behind as stale free space; `inplace` = up to 1.14:
   same sector count -> overwrite in place.  Slack after a payload keeps whatever was there before.
 * play: 5-minute save rounds; players stay around a home or travel; each loaded chunk has its own rate of
   becoming dirty; entities are rewritten every round, about half of them with an unchanged payload.
"""
from __future__ import annotations

import argparse
import collections
import gzip
import hashlib
import json
import math
import os
import pickle
import random
import sqlite3
import struct
import sys
import time
import uuid
import zlib
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads only fight over the cores here
import numpy as np  # noqa: E402

SECTOR = 4096
MIN_Y, MAX_Y = -64, 320
SECTIONS = 24
DATA_VERSION = 3955
EPOCH = 1_760_000_000  # wall clock of tick 0


# ----------------------------------------------------------------------------------------------- hashing, noise
def _mix(x):
    x = np.asarray(x, np.uint64)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def hash_coords(seed, *axes):
    h = np.uint64((seed * 0x9E3779B97F4A7C15) & (2**64 - 1))
    for a in axes:
        with np.errstate(over="ignore"):
            h = _mix(h + np.asarray(a, np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019))
    return h


def h01(seed, *axes):
    return (hash_coords(seed, *axes) >> np.uint64(11)).astype(np.float64) / 2.0**53


def noise2(seed, x0, z0, n, period):
    """n x n samples (z, x) of value noise with the given lattice period, smooth-stepped, in 0..1."""
    xs = np.arange(x0, x0 + n)
    zs = np.arange(z0, z0 + n)
    gx0, gz0 = x0 // period, z0 // period
    gx = np.arange(gx0, (x0 + n) // period + 2)
    gz = np.arange(gz0, (z0 + n) // period + 2)
    lat = h01(seed, gx[None, :], gz[:, None])
    fx, fz = (xs % period) / period, (zs % period) / period
    fx, fz = fx * fx * (3 - 2 * fx), fz * fz * (3 - 2 * fz)
    ix, iz = xs // period - gx0, zs // period - gz0
    a = lat[iz][:, ix] * (1 - fx) + lat[iz][:, ix + 1] * fx
    b = lat[iz + 1][:, ix] * (1 - fx) + lat[iz + 1][:, ix + 1] * fx
    return a * (1 - fz[:, None]) + b * fz[:, None]


# ----------------------------------------------------------------------------------------------------- NBT pieces
def _s(t):
    b = t.encode()
    return struct.pack(">H", len(b)) + b


def tag(kind, name, payload):
    return bytes([kind]) + _s(name) + payload


def t_byte(n, v): return tag(1, n, struct.pack(">b", v))
def t_int(n, v): return tag(3, n, struct.pack(">i", v))
def t_long(n, v): return tag(4, n, struct.pack(">q", v))
def t_float(n, v): return tag(5, n, struct.pack(">f", v))
def t_double(n, v): return tag(6, n, struct.pack(">d", v))
def t_str(n, v): return tag(8, n, _s(v))
def t_bytes(n, b): return tag(7, n, struct.pack(">i", len(b)) + b)
def t_longs(n, b): return tag(12, n, struct.pack(">i", len(b) // 8) + b)
def t_comp(n, body): return tag(10, n, body + b"\0")
def t_list(n, kind, items): return tag(9, n, bytes([kind if items else 0]) + struct.pack(">i", len(items)) + b"".join(items))
def root(body): return b"\x0a\0\0" + body + b"\0"


# block id -> (name, properties); id 0 is air
BLOCKS = [("air", None), ("stone", None), ("deepslate", {"axis": "y"}), ("bedrock", None), ("water", {"level": "0"}),
          ("lava", {"level": "0"}), ("dirt", None), ("grass_block", {"snowy": "false"}), ("sand", None), ("gravel", None),
          ("granite", None), ("diorite", None), ("andesite", None), ("tuff", None), ("coal_ore", None), ("iron_ore", None),
          ("copper_ore", None), ("gold_ore", None), ("redstone_ore", {"lit": "false"}), ("lapis_ore", None), ("diamond_ore", None),
          ("deepslate_iron_ore", None), ("deepslate_redstone_ore", {"lit": "false"}), ("deepslate_diamond_ore", None),
          ("oak_log", {"axis": "y"}), ("oak_leaves", {"distance": "1", "persistent": "false", "waterlogged": "false"}),
          ("oak_leaves", {"distance": "3", "persistent": "false", "waterlogged": "false"}),
          ("birch_log", {"axis": "y"}), ("birch_leaves", {"distance": "2", "persistent": "false", "waterlogged": "false"}),
          ("spruce_log", {"axis": "y"}), ("spruce_leaves", {"distance": "2", "persistent": "false", "waterlogged": "false"}),
          ("short_grass", None), ("tall_grass", {"half": "lower"}), ("tall_grass", {"half": "upper"}), ("dandelion", None), ("poppy", None),
          ("sandstone", None), ("clay", None), ("seagrass", None), ("kelp_plant", None), ("glow_lichen", {"down": "true", "east": "false", "north": "false", "south": "false", "up": "false", "waterlogged": "false", "west": "false"}),
          ("podzol", {"snowy": "false"}), ("snow", {"layers": "1"}), ("mud", None), ("oak_planks", None), ("cobblestone", None), ("torch", None),
          ("glass", None), ("chest", {"facing": "north", "type": "single", "waterlogged": "false"}), ("farmland", {"moisture": "7"}), ("wheat", {"age": "5"}),
          ("netherrack", None), ("soul_sand", None), ("glowstone", None), ("nether_quartz_ore", None), ("magma_block", None), ("blackstone", None), ("basalt", {"axis": "y"}),
          ("end_stone", None), ("cave_air", None), ("pointed_dripstone", {"thickness": "tip", "vertical_direction": "up", "waterlogged": "false"}), ("moss_block", None)]
B = {}
for _i, (_n, _p) in enumerate(BLOCKS):
    B.setdefault(_n, _i)
PALETTE = [t_str("Name", "minecraft:" + n) + (t_comp("Properties", b"".join(t_str(k, v) for k, v in p.items())) if p else b"") + b"\0" for n, p in BLOCKS]
SURFACE_BIOMES = ["ocean", "plains", "forest", "birch_forest", "taiga", "desert", "savanna", "swamp", "snowy_plains", "jungle", "beach", "river"]


def pack_bits(values, bits):
    """vanilla 1.16+ packing: 64//bits values to a long, none straddles."""
    per = 64 // bits
    n = -(-len(values) // per)
    v = np.zeros(n * per, np.uint64)
    v[:len(values)] = values
    v = v.reshape(n, per) << (np.arange(per, dtype=np.uint64) * np.uint64(bits))
    return np.bitwise_or.reduce(v, axis=1).astype(">u8").tobytes()


# -------------------------------------------------------------------------------------------------- terrain model
class Terrain:
    def __init__(self, seed, dim="overworld"):
        self.seed, self.dim = seed, dim
        self.cache = collections.OrderedDict()
        ys = np.arange(MIN_Y, MAX_Y)
        self.Y = ys[:, None, None]
        # upsampling matrices for the 3D noise: lattice step 8 vertically, 8 horizontally
        self.wy = self._weights(len(ys), 8)
        self.wx = self._weights(16, 8)

    @staticmethod
    def _weights(n, step):
        m = np.zeros((n, n // step + 2), np.float32)
        for i in range(n):
            f = (i % step) / step
            f = f * f * (3 - 2 * f)
            m[i, i // step] += 1 - f
            m[i, i // step + 1] += f
        return m

    def region(self, rx, rz):
        k = (rx, rz)
        if k in self.cache:
            self.cache.move_to_end(k)
            return self.cache[k]
        x0, z0, s = rx * 512, rz * 512, self.seed
        h = sum(a * (noise2(s + i, x0, z0, 512, p) - 0.5) for i, (p, a) in enumerate([(512, 90), (256, 50), (128, 30), (64, 16), (32, 8), (16, 4), (8, 2)]))
        height = np.clip(70 + h, 30, 200).astype(np.int32)
        temp = noise2(s + 50, x0, z0, 512, 384)
        hum = noise2(s + 51, x0, z0, 512, 320)
        jit = h01(s + 52, np.arange(x0, x0 + 512)[None, :], np.arange(z0, z0 + 512)[:, None])
        t, u = temp + 0.02 * jit, hum
        biome = np.full((512, 512), 1, np.uint8)
        biome[u > 0.52] = 2
        biome[(u > 0.45) & (t > 0.55)] = 3
        biome[t < 0.36] = 4
        biome[t < 0.25] = 8
        biome[(t > 0.66) & (u < 0.45)] = 5
        biome[(t > 0.58) & (u >= 0.4) & (u < 0.5)] = 6
        biome[(t > 0.62) & (u > 0.62)] = 9
        biome[(u > 0.68) & (height < 72)] = 7
        biome[(height >= 61) & (height <= 64)] = 10
        biome[height < 61] = 0
        r = dict(height=height, biome=biome)
        self.cache[k] = r
        if len(self.cache) > 24:
            self.cache.popitem(last=False)
        return r

    def noise3(self, salt, cx, cz):
        gx = np.arange(cx * 2, cx * 2 + 4)
        gz = np.arange(cz * 2, cz * 2 + 4)
        gy = np.arange(self.wy.shape[1])
        lat = h01(self.seed + salt, gx[None, None, :], gz[None, :, None], gy[:, None, None]).astype(np.float32)
        a = np.tensordot(self.wy, lat, 1)                      # y, gz, gx
        a = np.tensordot(a, self.wx, ([2], [1]))               # y, gz, x
        return np.einsum("ygx,zg->yzx", a, self.wx, optimize=True)

    def blocks(self, cx, cz):
        rng = np.random.default_rng([self.seed & 0xFFFFFFFF, cx & 0xFFFFFFFF, cz & 0xFFFFFFFF])
        if self.dim == "nether":
            return self._nether(cx, cz, rng)
        if self.dim == "end":
            return self._end(cx, cz, rng)
        r = self.region(cx >> 5, cz >> 5)
        oz, ox = (cz & 31) * 16, (cx & 31) * 16
        top = r["height"][oz:oz + 16, ox:ox + 16]
        bio = r["biome"][oz:oz + 16, ox:ox + 16]
        Y = self.Y
        hmax = int(top.max())
        b = np.zeros((MAX_Y - MIN_Y, 16, 16), np.uint8)
        solid = Y <= top
        b[solid] = B["stone"]
        dith = rng.integers(0, 8, (16, 16))
        b[solid & (Y < dith)] = B["deepslate"]
        # how busy the underground is varies from place to place; this spreads the deflated sizes as in real worlds
        q = min(6.0, math.exp(0.75 * rng.normal() + 1.8 * (float(h01(self.seed + 60, cx // 5, cz // 5)) - 0.55)))

        def blob(n, block, y0, y1, r0, r1, over=(B["stone"], B["deepslate"])):
            for _ in range(round(n * q)):
                y = int(rng.integers(y0, max(y0 + 1, y1))) - MIN_Y
                x, z = rng.integers(0, 16, 2)
                rr = float(rng.uniform(r0, r1))
                k = int(rr) + 1
                ys, zs, xs = slice(max(0, y - k), y + k + 1), slice(max(0, z - k), z + k + 1), slice(max(0, x - k), x + k + 1)
                v = b[ys, zs, xs]
                gy, gz, gx = np.ogrid[ys.start - y:ys.start - y + v.shape[0], zs.start - z:zs.start - z + v.shape[1], xs.start - x:xs.start - x + v.shape[2]]
                m = (gy * gy * 1.6 + gz * gz + gx * gx) <= rr * rr
                m &= (v == over[0]) | (v == over[-1])
                v[m] = block

        hi = hmax
        for nm in ("granite", "diorite", "andesite"):
            blob(2, B[nm], 0, hi, 2.0, 4.0)
        blob(2, B["tuff"], -60, 0, 2.0, 4.2)
        blob(4, B["dirt"], 0, hi, 1.6, 3.0)
        blob(5, B["gravel"], -60, hi, 1.6, 3.0)
        blob(12, B["coal_ore"], 10, hi, 1.0, 2.0)
        blob(8, B["copper_ore"], -10, min(hi, 100), 1.0, 1.9)
        blob(6, B["iron_ore"], 0, hi, 0.9, 1.6)
        blob(5, B["deepslate_iron_ore"], -60, 0, 0.9, 1.6)
        blob(3, B["gold_ore"], -50, 30, 0.9, 1.5)
        blob(2, B["lapis_ore"], -30, 40, 0.8, 1.4)
        blob(6, B["deepslate_redstone_ore"], -63, 0, 0.9, 1.5)
        blob(4, B["deepslate_diamond_ore"], -63, -5, 0.8, 1.4)
        # caves
        n1, n2 = self.noise3(101, cx, cz), self.noise3(102, cx, cz)
        w = min(2.0, q ** 0.5)
        cave = (np.abs(n1 - 0.5) < 0.05 * w) & (np.abs(n2 - 0.5) < 0.06 * w)
        cave |= (self.noise3(103, cx, cz) > 0.86 - 0.06 * w) & (Y < 40)
        cave &= (Y < top - 3) & (Y > -58)
        b[cave] = B["air"]
        b[cave & (Y < -54)] = B["lava"]
        # things on cave floors and walls
        floor = np.argwhere(cave[1:] & ~cave[:-1])
        if len(floor):
            pick = floor[rng.random(len(floor)) < 0.06]
            b[pick[:, 0] + 1, pick[:, 1], pick[:, 2]] = rng.choice([B["glow_lichen"], B["pointed_dripstone"], B["gravel"], B["moss_block"]], len(pick))
        # bedrock
        for i in range(5):
            b[i][rng.random((16, 16)) < (5 - i) / 5] = B["bedrock"]
        # surface
        zz, xx = np.mgrid[0:16, 0:16]
        land = top > 62
        topb = np.where(bio == 5, B["sand"], np.where(bio == 10, B["sand"], np.where(bio == 4, B["podzol"], np.where(bio == 7, B["mud"], B["grass_block"]))))
        topb = np.where(land, topb, np.where(rng.random((16, 16)) < 0.3, B["gravel"], B["sand"]))
        under = np.where((bio == 5) | (bio == 10), B["sandstone"], B["dirt"])
        for d in range(1, 4):
            b[top - d - MIN_Y, zz, xx] = under
        b[top - MIN_Y, zz, xx] = topb
        wet = (Y > top) & (Y <= 62)
        b[wet] = B["water"]
        sea = np.argwhere((~land) & (rng.random((16, 16)) < 0.25))
        for z, x in sea[:30]:
            if top[z, x] < 62:
                b[top[z, x] + 1 - MIN_Y, z, x] = B["seagrass"]
        dens = np.array([0, .35, .22, .22, .12, .01, .4, .2, .03, .45, .02, .0])[bio]
        veg = land & (rng.random((16, 16)) < dens)
        b[(top + 1 - MIN_Y)[veg], zz[veg], xx[veg]] = rng.choice([B["short_grass"]] * 8 + [B["dandelion"], B["poppy"]], int(veg.sum()))
        b[(top + 1 - MIN_Y)[land & (bio == 8)], zz[land & (bio == 8)], xx[land & (bio == 8)]] = B["snow"]
        trees = {2: 6, 3: 6, 4: 7, 9: 9, 6: 1, 7: 2, 1: 0.3}.get(int(bio[8, 8]), 0)
        for _ in range(rng.poisson(trees)):
            x, z = rng.integers(2, 14, 2)
            if not land[z, x]:
                continue
            y = int(top[z, x]) + 1 - MIN_Y
            hh = int(rng.integers(4, 7))
            log, leaf = {3: (B["birch_log"], B["birch_leaves"]), 4: (B["spruce_log"], B["spruce_leaves"])}.get(int(bio[z, x]), (B["oak_log"], B["oak_leaves"]))
            v = b[y + hh - 2:y + hh + 1, z - 2:z + 3, x - 2:x + 3]
            m = (v == 0) & (rng.random(v.shape) < 0.88)
            v[m] = leaf + (rng.random(int(m.sum())) < 0.4) * (1 if leaf == B["oak_leaves"] else 0)
            b[y:y + hh, z, x] = log
        # houses, mineshafts, ruins: boxes of mixed blocks
        for _ in range(rng.poisson(0.10) + (rng.poisson(6) if rng.random() < 0.06 else 0)):
            y = int(rng.integers(20, max(21, hmax))) - MIN_Y
            x, z = rng.integers(0, 9, 2)
            h, dd, ww = int(rng.integers(3, 7)), int(rng.integers(4, 8)), int(rng.integers(4, 8))
            v = b[y:y + h, z:z + dd, x:x + ww]
            v[:] = rng.choice([B["oak_planks"], B["cobblestone"], B["glass"], B["oak_log"], B["stone"], 0, 0, B["torch"]], v.shape, p=[.35, .2, .06, .1, .04, .12, .12, .01])
        return b, bio

    def _nether(self, cx, cz, rng):
        Y = self.Y
        b = np.zeros((MAX_Y - MIN_Y, 16, 16), np.uint8)
        n = self.noise3(201, cx, cz) * 0.6 + self.noise3(202, cx, cz) * 0.4
        grad = np.abs(Y - 64) / 64.0
        solid = (n + 0.45 * grad) > 0.62
        inside = (Y >= 0) & (Y < 128)
        b[solid & inside] = B["netherrack"]
        b[(~solid) & inside & (Y < 32)] = B["lava"]
        m = (self.noise3(203, cx, cz) > 0.72) & solid & inside
        b[m] = B["blackstone"]
        m = (self.noise3(204, cx, cz) > 0.78) & solid & inside
        b[m] = B["soul_sand"]
        q = np.argwhere(b == B["netherrack"])
        if len(q):
            p = q[rng.random(len(q)) < 0.006]
            b[p[:, 0], p[:, 1], p[:, 2]] = rng.choice([B["nether_quartz_ore"], B["magma_block"], B["glowstone"]], len(p))
        b[-MIN_Y] = B["bedrock"]
        b[127 - MIN_Y] = B["bedrock"]
        return b, np.full((16, 16), 1, np.uint8)

    def _end(self, cx, cz, rng):
        b = np.zeros((MAX_Y - MIN_Y, 16, 16), np.uint8)
        d = math.hypot(cx, cz)
        if d < 9 or (d > 60 and h01(self.seed + 7, cx // 4, cz // 4) > 0.6):
            n = self.noise3(301, cx, cz)
            b[(n > 0.45) & (np.abs(self.Y - 55) < 22)] = B["end_stone"]
        return b, np.full((16, 16), 1, np.uint8)

    def chunk_nbt(self, cx, cz, last_update, inhabited):
        b, bio = self.blocks(cx, cz)
        nb = MAX_Y - MIN_Y
        solid = b != 0
        anyc = solid.any(axis=0)
        surf = np.where(anyc, nb - np.argmax(solid[::-1], axis=0), 0)
        sky = np.zeros((nb, 16, 16), np.uint8)
        if self.dim == "overworld":
            sky[np.arange(nb)[:, None, None] >= surf] = 15
            wl = b == B["water"]
            depth = np.cumsum(wl[::-1], axis=0)[::-1]
            sky = np.where(wl, np.clip(15 - depth, 0, 15), sky).astype(np.uint8)
            leafy = (b == B["oak_leaves"]) | (b == B["birch_leaves"]) | (b == B["spruce_leaves"])
            sky = np.where(leafy, 14, sky).astype(np.uint8)
        light = (b == B["lava"]) | (b == B["glow_lichen"]) | (b == B["torch"]) | (b == B["glowstone"])
        out = []
        opaque = (b != 0) & (b != B["water"])
        for s in range(SECTIONS):
            y = s + MIN_Y // 16
            v = b[s * 16:s * 16 + 16].reshape(-1)
            ids = np.flatnonzero(np.bincount(v, minlength=len(BLOCKS)))
            body = t_byte("Y", y)
            pal = [PALETTE[i] for i in ids]
            bs = t_list("palette", 10, pal)
            if len(ids) > 1:
                bits = max(4, int(len(ids) - 1).bit_length())
                lut = np.zeros(len(BLOCKS), np.uint64)
                lut[ids] = np.arange(len(ids), dtype=np.uint64)
                bs = t_longs("data", pack_bits(lut[v], bits)) + bs
            body += t_comp("block_states", bs)
            if y * 16 >= 0:
                bi = np.unique(bio[::4, ::4])
                names = [_s("minecraft:" + (SURFACE_BIOMES[i] if self.dim == "overworld" else "nether_wastes" if self.dim == "nether" else "the_end")) for i in bi]
                bb = t_list("palette", 8, names)
                if len(bi) > 1:
                    idx = np.searchsorted(bi, bio[::4, ::4]).reshape(-1)
                    bb = t_longs("data", pack_bits(np.tile(idx, 4).astype(np.uint64), max(1, int(len(bi) - 1).bit_length()))) + bb
            else:
                bb = t_list("palette", 8, [_s("minecraft:lush_caves" if int(hash_coords(self.seed, cx // 8, cz // 8)) % 3 == 0 else "minecraft:plains")])
            body += t_comp("biomes", bb)
            ls = light[s * 16:s * 16 + 16]
            if ls.any():
                src = np.where(ls, 14, 0).astype(np.uint8)
                op = opaque[s * 16:s * 16 + 16]
                for _ in range(6):
                    p = np.pad(src, 1)
                    nbm = np.maximum.reduce([p[2:, 1:-1, 1:-1], p[:-2, 1:-1, 1:-1], p[1:-1, 2:, 1:-1], p[1:-1, :-2, 1:-1], p[1:-1, 1:-1, 2:], p[1:-1, 1:-1, :-2]])
                    src = np.maximum(src, np.where(op & ~ls, 0, np.maximum(nbm, 1) - 1).astype(np.uint8))
                q = src.reshape(-1)
                body += t_bytes("BlockLight", (q[0::2] | (q[1::2] << 4)).tobytes())
            if self.dim == "overworld":
                k = sky[s * 16:s * 16 + 16].reshape(-1)
                if k.any() and (s * 16 <= int(surf.max()) + 16):
                    body += t_bytes("SkyLight", (k[0::2] | (k[1::2] << 4)).tobytes())
            out.append(body + b"\0")
        hm = surf.reshape(-1).astype(np.uint64)
        packed = pack_bits(hm, 9)
        ground = np.where((b != 0) & (b != B["water"]), 1, 0)
        of = (nb - np.argmax(ground[::-1], axis=0)).reshape(-1).astype(np.uint64)
        maps = t_longs("MOTION_BLOCKING", packed) + t_longs("MOTION_BLOCKING_NO_LEAVES", packed) + t_longs("OCEAN_FLOOR", pack_bits(of, 9)) + t_longs("WORLD_SURFACE", packed)
        be = []
        if h01(self.seed + 9, cx, cz) < 0.06:
            be.append(t_str("id", "minecraft:chest") + t_int("x", cx * 16 + 5) + t_int("y", 20) + t_int("z", cz * 16 + 5) + t_byte("keepPacked", 0)
                      + t_str("LootTable", "minecraft:chests/abandoned_mineshaft") + t_long("LootTableSeed", int(hash_coords(self.seed, cx, cz)) % (2**62)) + b"\0")
        return root(
            t_comp("Heightmaps", maps) + t_comp("structures", t_comp("References", b"") + t_comp("starts", b""))
            + t_list("PostProcessing", 9, [b"\0\0\0\0\0"] * SECTIONS) + t_list("block_entities", 10, be) + t_list("block_ticks", 10, [])
            + t_list("fluid_ticks", 10, []) + t_int("xPos", cx) + t_int("yPos", MIN_Y // 16) + t_int("zPos", cz)
            + t_long("InhabitedTime", inhabited) + t_long("LastUpdate", last_update) + t_byte("isLightOn", 1)
            + t_str("Status", "minecraft:full") + t_int("DataVersion", DATA_VERSION) + t_list("sections", 10, out))


def proto_nbt(cx, cz, last_update, seed):
    """the unfinished rim: no sections yet, only structure starts and references."""
    refs = b"".join(t_longs("minecraft:" + n, struct.pack(">q", (cx & 0xFFFFFFFF) | ((cz & 0xFFFFFFFF) << 32) if (cz & 0x80000000) == 0 else -1))
                    for i, n in enumerate(("mineshaft", "village_plains", "ocean_ruin_cold", "trial_chambers")) if int(hash_coords(seed + i, cx // 3, cz // 3)) % 5 == 0)
    return root(t_comp("Heightmaps", b"") + t_comp("structures", t_comp("References", refs) + t_comp("starts", b"")) + t_list("PostProcessing", 9, [b"\0\0\0\0\0"] * SECTIONS)
                + t_list("block_entities", 10, []) + t_list("block_ticks", 10, []) + t_list("fluid_ticks", 10, []) + t_list("entities", 10, [])
                + t_comp("CarvingMasks", b"") + t_int("xPos", cx) + t_int("yPos", -4) + t_int("zPos", cz) + t_long("InhabitedTime", 0)
                + t_long("LastUpdate", last_update) + t_str("Status", "minecraft:structure_starts") + t_int("DataVersion", DATA_VERSION) + t_list("sections", 10, []))


MOBS = ["cow", "sheep", "pig", "chicken", "zombie", "skeleton", "creeper", "spider", "bat", "villager", "item_frame", "armor_stand", "minecart", "squid", "cod", "glow_squid"]


def entities_nbt(cx, cz, rng):
    ents = []
    for _ in range(1 + rng.poisson(1.2)):
        pos = [struct.pack(">d", v) for v in (cx * 16 + rng.random() * 16, 40 + rng.random() * 40, cz * 16 + rng.random() * 16)]
        mot = [struct.pack(">d", v) for v in (rng.normal() * .01, -0.0784, rng.normal() * .01)]
        rot = [struct.pack(">f", v) for v in (rng.random() * 360, 0.0)]
        u = struct.pack(">4i", *(int(x) for x in rng.integers(-2**31, 2**31 - 1, 4)))
        ents.append(t_str("id", "minecraft:" + MOBS[int(rng.integers(len(MOBS)))]) + t_list("Pos", 6, pos) + t_list("Motion", 6, mot) + t_list("Rotation", 5, rot)
                    + tag(11, "UUID", struct.pack(">i", 4) + u) + t_float("Health", float(rng.integers(1, 20))) + t_byte("OnGround", 1) + t_int("Age", int(rng.integers(0, 6000)))
                    + t_float("FallDistance", 0.0) + tag(2, "Air", struct.pack(">h", 300)) + tag(2, "Fire", struct.pack(">h", -1)) + t_byte("PersistenceRequired", 0)
                    + t_list("attributes", 10, [t_str("id", "minecraft:movement_speed") + t_double("base", 0.23 + rng.random() / 100) + b"\0"]) + t_int("PortalCooldown", 0) + b"\0")
    return root(t_int("DataVersion", DATA_VERSION) + tag(11, "Position", struct.pack(">i2i", 2, cx, cz)) + t_list("Entities", 10, ents))


def poi_nbt(cx, cz, rng):
    rec = [t_str("type", "minecraft:" + ("home", "meeting", "nether_portal", "farmer")[int(rng.integers(4))]) + tag(11, "pos", struct.pack(">i3i", 3, cx * 16 + int(rng.integers(16)), 64, cz * 16 + int(rng.integers(16))))
           + t_int("free_tickets", int(rng.integers(2))) + b"\0" for _ in range(1 + int(rng.integers(3)))]
    return root(t_int("DataVersion", DATA_VERSION) + t_comp("Sections", t_comp("4", t_byte("Valid", 1) + t_list("Records", 10, rec))))


# ---------------------------------------------------------------------------------------------------- region files
class RegionFile:
    def __init__(self, path, alloc="modern", create=True):
        self.path, self.alloc = Path(path), alloc
        new = not self.path.exists()
        if new and not create:
            raise FileNotFoundError(path)
        self.f = open(self.path, "w+b" if new else "r+b")
        if new:
            self.f.write(b"\0" * 8192)
        self.f.seek(0)
        hdr = self.f.read(8192)
        self.loc = np.frombuffer(hdr, ">u4", 1024).astype(np.uint32).copy()
        self.ts = np.frombuffer(hdr, ">u4", 1024, 4096).astype(np.uint32).copy()
        self.size = os.fstat(self.f.fileno()).st_size
        self.used = bytearray(max(2, -(-self.size // SECTOR)))
        self.used[0] = self.used[1] = 1
        for v in self.loc[self.loc > 0].tolist():
            o, n = v >> 8, v & 255
            if o + n > len(self.used):
                self.used.extend(bytes(o + n - len(self.used)))
            self.used[o:o + n] = b"\1" * n
        self.dirty = False

    def read(self, i):
        v = int(self.loc[i])
        if not v:
            return None
        self.f.seek((v >> 8) * SECTOR)
        ln, kind = struct.unpack(">IB", self.f.read(5))
        d = self.f.read(ln - 1)
        return zlib.decompress(d) if kind == 2 else gzip.decompress(d) if kind == 1 else d

    def raw(self, i):
        v = int(self.loc[i])
        self.f.seek((v >> 8) * SECTOR)
        ln = struct.unpack(">I", self.f.read(4))[0]
        return self.f.read(ln)[1:]

    def _first_fit(self, n):
        at = self.used.find(bytes(n), 2)
        # a run at the very end may be shorter than n: the file simply grows
        if at < 0:
            at = len(self.used)
            while at > 2 and not self.used[at - 1]:
                at -= 1
        if at + n > len(self.used):
            self.used.extend(bytes(at + n - len(self.used)))
        self.used[at:at + n] = b"\1" * n
        return at

    def write(self, i, nbt, now, deflated=None):
        z = deflated if deflated is not None else zlib.compress(nbt, 6)
        data = struct.pack(">IB", len(z) + 1, 2) + z
        v = int(self.loc[i])
        o, c = v >> 8, v & 255
        if self.alloc == "modern":
            n = -(-len(data) // SECTOR)
            at = self._first_fit(n)
            if v:
                self.used[o:o + c] = bytes(c)
        else:
            n = len(data) // SECTOR + 1
            if v and c == n:
                at = o
            else:
                if v:
                    self.used[o:o + c] = bytes(c)
                at = self._first_fit(n)
        assert n < 256, "oversized chunks (.mcc) are not modelled"
        self.f.seek(at * SECTOR)
        self.f.write(data)
        self.size = max(self.size, at * SECTOR + len(data))
        self.loc[i] = (at << 8) | n
        self.ts[i] = now
        self.dirty = True

    def clear(self, i, now):
        v = int(self.loc[i])
        if v:
            self.used[v >> 8:(v >> 8) + (v & 255)] = bytes(v & 255)
            self.loc[i], self.ts[i] = 0, now
            self.dirty = True

    def close(self):
        if self.dirty:
            self.f.seek(0)
            self.f.write(self.loc.astype(">u4").tobytes() + self.ts.astype(">u4").tobytes())
            pad = -self.size % SECTOR
            if pad:
                self.f.seek(self.size + pad - 1)
                self.f.write(b"\0")
        self.f.close()


class Dim:
    """one dimension: region/ entities/ poi/ with a small cache of open files"""

    def __init__(self, root_dir, name, seed, alloc):
        self.dir = Path(root_dir) / {"overworld": "", "nether": "DIM-1", "end": "DIM1"}[name]
        self.name, self.alloc = name, alloc
        self.seed = seed + {"overworld": 0, "nether": 1000, "end": 2000}[name]
        self.terrain = Terrain(self.seed, name)
        self.open = collections.OrderedDict()
        self.full = {}

    def file(self, kind, rx, rz, create=True):
        k = (kind, rx, rz)
        if k in self.open:
            self.open.move_to_end(k)
            return self.open[k]
        p = self.dir / kind / f"r.{rx}.{rz}.mca"
        if not create and not p.exists():
            return None
        p.parent.mkdir(parents=True, exist_ok=True)
        f = RegionFile(p, self.alloc)
        self.open[k] = f
        if len(self.open) > 200:
            _, old = self.open.popitem(last=False)
            old.close()
        return f

    def close(self):
        for f in self.open.values():
            f.close()
        self.open.clear()

    def has_entities(self, cx, cz): return h01(self.seed + 11, cx, cz) < 0.10
    def has_poi(self, cx, cz): return h01(self.seed + 12, cx, cz) < 0.02

    def generate(self, cx, cz, tick, now, inhabited=0):
        i = (cx & 31) + (cz & 31) * 32
        self.file("region", cx >> 5, cz >> 5).write(i, self.terrain.chunk_nbt(cx, cz, tick, inhabited), now)
        if self.has_entities(cx, cz):
            self.file("entities", cx >> 5, cz >> 5).write(i, entities_nbt(cx, cz, np.random.default_rng([self.seed, cx & 0xFFFFFFFF, cz & 0xFFFFFFFF, 5])), now)
        if self.has_poi(cx, cz):
            self.file("poi", cx >> 5, cz >> 5).write(i, poi_nbt(cx, cz, np.random.default_rng([self.seed, cx & 0xFFFFFFFF, cz & 0xFFFFFFFF, 6])), now)

    def status(self, cx, cz):
        """0 absent, 1 unfinished, 2 full (cached per region)"""
        k = (cx >> 5, cz >> 5)
        if k not in self.full:
            a = np.zeros(1024, np.uint8)
            f = self.file("region", *k, create=False)
            if f is not None:
                for i in np.flatnonzero(f.loc):
                    v = int(f.loc[i])
                    if v & 255 > 1:
                        a[i] = 2
                    else:
                        a[i] = 2 if b"minecraft:full" in f.read(int(i)) else 1
            self.full[k] = a
        return self.full[k][(cx & 31) + (cz & 31) * 32]

    def set_status(self, cx, cz, v):
        self.status(cx, cz)
        self.full[(cx >> 5, cz >> 5)][(cx & 31) + (cz & 31) * 32] = v


# --------------------------------------------------------------------------------------------- NBT scanner (generic)
def nbt_scan(d):
    """walk any uncompressed NBT; returns (paths of interest, end offset). Raises on malformed input."""
    found = {"sections": [], "LastUpdate": None, "InhabitedTime": None, "Status": None, "xPos": None, "zPos": None, "tags": 0}
    size = {1: 1, 2: 2, 3: 4, 4: 8, 5: 4, 6: 8}
    up = struct.unpack_from

    def string(p):
        n = up(">H", d, p)[0]
        if p + 2 + n > len(d):
            raise ValueError("string past end")
        return d[p + 2:p + 2 + n], p + 2 + n

    def payload(kind, p, path):
        found["tags"] += 1
        if kind in size:
            return p + size[kind]
        if kind == 8:
            return string(p)[1]
        if kind in (7, 11, 12):
            n = up(">i", d, p)[0]
            w = {7: 1, 11: 4, 12: 8}[kind]
            if path[-2:] == (b"block_states", b"data"):
                found["sections"].append([p + 4, n, 0])
            return p + 4 + n * w
        if kind == 9:
            k, n = d[p], up(">i", d, p + 1)[0]
            if path[-2:] == (b"block_states", b"palette"):
                found["_pal"] = n
            q = p + 5
            if k in size:
                return q + n * size[k]
            for _ in range(n):
                q = payload(k, q, path + (b"[]",))
            return q
        if kind == 10:
            had = len(found["sections"])
            while True:
                k = d[p]
                p += 1
                if k == 0:
                    break
                nm, p = string(p)
                if len(path) == 0:
                    if nm in (b"LastUpdate", b"InhabitedTime"):
                        found[nm.decode()] = p
                    elif nm == b"Status":
                        found["Status"] = string(p)[0]
                    elif nm in (b"xPos", b"zPos"):
                        found[nm.decode()] = up(">i", d, p)[0]
                p = payload(k, p, path + (nm,))
            if path[-1:] == (b"block_states",) and len(found["sections"]) > had:
                found["sections"][-1][2] = found.get("_pal", 0)
            return p
        raise ValueError(f"tag kind {kind}")

    if d[0] != 10:
        raise ValueError("root is no compound")
    _, p = string(1)
    end = payload(10, p, ())
    if end != len(d):
        raise ValueError("trailing bytes")
    return found


def mutate(nbt, tick, seconds, changes, rng):
    """a loaded chunk after some play: new LastUpdate, more InhabitedTime, a few blocks changed."""
    d = bytearray(nbt)
    f = nbt_scan(nbt)
    struct.pack_into(">q", d, f["LastUpdate"], tick)
    it = struct.unpack_from(">q", d, f["InhabitedTime"])[0]
    struct.pack_into(">q", d, f["InhabitedTime"], it + int(seconds * 20))
    secs = [s for s in f["sections"] if s[2] > 1]
    if secs:
        focus = secs[int(rng.integers(len(secs)))]
        for _ in range(changes):
            off, n, pal = focus if rng.random() < 0.8 else secs[int(rng.integers(len(secs)))]
            bits = max(4, (pal - 1).bit_length())
            per = 64 // bits
            w = off + 8 * int(rng.integers(n))
            k = int(rng.integers(min(per, 4096 - (n - 1) * per)))
            v = struct.unpack_from(">Q", d, w)[0]
            m = ((1 << bits) - 1) << (k * bits)
            struct.pack_into(">Q", d, w, (v & ~m) | (int(rng.integers(pal)) << (k * bits)))
    return bytes(d)


# ------------------------------------------------------------------------------------------------------ the world
def state_path(d): return Path(str(d).rstrip("/") + ".state.json")


def replace_with_old(path, data):
    """vanilla's rotation: write a temp file, current -> *_old, temp -> current"""
    p = Path(path)
    p.parent.mkdir(parents=True, exist_ok=True)
    tmp = p.with_name(p.name + ".tmp")
    tmp.write_bytes(data)
    if p.exists():
        os.replace(p, p.with_name(p.name + "_old"))
    os.replace(tmp, p)


def gz(b): return gzip.compress(b, 6, mtime=0)


def write_side_files(d, st, rng, tick, now):
    d = Path(d)
    lvl = t_comp("Data", t_str("LevelName", d.name) + t_long("Time", tick) + t_long("DayTime", tick % 24000 + 24000 * (tick // 24000)) + t_long("LastPlayed", now * 1000)
                 + t_int("DataVersion", DATA_VERSION) + t_int("version", 19133) + t_byte("raining", int(rng.integers(2))) + t_int("rainTime", int(rng.integers(100000)))
                 + t_comp("GameRules", b"".join(t_str(f"gameRule{i}", "true") for i in range(50)))
                 + t_comp("WorldGenSettings", t_long("seed", st["seed"]) + t_byte("generate_features", 1))
                 + t_list("ScheduledEvents", 10, []) + t_list("ServerBrands", 8, [_s("vanilla")]))
    replace_with_old(d / "level.dat", gz(root(lvl)))
    for p in st["players"]:
        inv = [t_str("id", "minecraft:" + BLOCKS[int(rng.integers(1, len(BLOCKS)))][0]) + t_int("count", int(rng.integers(1, 65))) + t_byte("Slot", s) + b"\0" for s in range(int(rng.integers(20, 36)))]
        if p.get("online", True):
            replace_with_old(d / "playerdata" / f"{p['uuid']}.dat", gz(root(
                t_int("DataVersion", DATA_VERSION) + t_list("Inventory", 10, inv) + t_list("EnderItems", 10, inv[:9]) + t_list("Pos", 6, [struct.pack(">d", p["x"] * 16 + rng.random()), struct.pack(">d", 70.0), struct.pack(">d", p["z"] * 16 + rng.random())])
                + t_float("Health", 20.0) + t_int("XpTotal", int(rng.integers(100000))) + t_list("recipeBook", 8, [_s(f"minecraft:recipe_{i}") for i in range(400)]))))
            p.setdefault("stat", 0)
            p["stat"] += 1
            stats = {"stats": {"minecraft:custom": {f"minecraft:stat_{i}": p["stat"] * (i + 3) * 17 + int(rng.integers(99)) for i in range(60)},
                               "minecraft:mined": {f"minecraft:{b[0]}": p["stat"] * 31 + int(rng.integers(999)) for b in BLOCKS[1:]}}, "DataVersion": DATA_VERSION}
            (d / "stats").mkdir(exist_ok=True)
            (d / "stats" / f"{p['uuid']}.json").write_text(json.dumps(stats, separators=(",", ":")))
            (d / "advancements").mkdir(exist_ok=True)
            (d / "advancements" / f"{p['uuid']}.json").write_text(json.dumps({f"minecraft:recipes/misc/r{i}": {"criteria": {"has_it": "2025-01-01 00:00:00 +0000"}, "done": True} for i in range(300 + p["stat"])}, indent=2))
    data = d / "data"
    data.mkdir(exist_ok=True)
    for n in ("raids", "scoreboard", "random_sequences", "chunks"):
        (data / f"{n}.dat").write_bytes(gz(root(t_comp("data", t_int("Tick", tick) + t_int("Next", int(rng.integers(1000)))) + t_int("DataVersion", DATA_VERSION))))
    for m in range(st.get("maps", 0)):
        f = data / f"map_{m}.dat"
        if not f.exists() or rng.random() < 0.15:
            f.write_bytes(gz(root(t_comp("data", t_bytes("colors", rng.integers(0, 60, 16384).astype(np.uint8).tobytes()) + t_byte("scale", 0) + t_str("dimension", "minecraft:overworld")) + t_int("DataVersion", DATA_VERSION))))
    (d / "session.lock").write_bytes("☃".encode())


def explored(seed, n_regions, rnd):
    """chunks a group of players would have opened up: walks from spawn until n region files are touched"""
    full, regs = set(), set()
    walkers = 0
    while len(regs) < n_regions:
        walkers += 1
        x, z, a = rnd.gauss(0, 10), rnd.gauss(0, 10), rnd.random() * 2 * math.pi
        steps = rnd.randint(30, 160) if walkers > 3 else 60
        for _ in range(steps):
            a += rnd.gauss(0, 0.35)
            x += 6 * math.cos(a)
            z += 6 * math.sin(a)
            cx, cz = int(x), int(z)
            add = {(i >> 5, j >> 5) for i in (cx - 11, cx + 11) for j in (cz - 11, cz + 11)} - regs
            if len(regs) + len(add) > n_regions and add:
                break
            regs |= add
            for i in range(cx - 10, cx + 11):
                for j in range(cz - 10, cz + 11):
                    full.add((i, j))
        if walkers > 5000:
            break
    # people come back: fill most of the holes inside regions already touched near the middle
    near = sorted(regs, key=lambda r: (r[0] + .5) ** 2 + (r[1] + .5) ** 2)[: max(1, int(len(regs) * 0.45))]
    for rx, rz in near:
        full.update((rx * 32 + i, rz * 32 + j) for i in range(32) for j in range(32))
    rim = set()
    for (i, j) in full:
        for di, dj in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            for k in (1, 2, 4):
                c = (i + di * k, j + dj * k)
                if c not in full and (c[0] >> 5, c[1] >> 5) in regs:
                    rim.add(c)
    return full, rim


def cmd_create(a):
    d = Path(a.dir)
    d.mkdir(parents=True)
    rnd = random.Random(a.seed)
    st = dict(seed=a.seed, tick=0, maps=12, players=[], regions=a.regions)
    n_n, n_e = max(0, a.regions // 12), max(0, a.regions // 20)
    st["tick"] = 20 * 3600 * 60
    t0 = time.time()
    total = 0
    for name, n in (("overworld", a.regions - n_n - n_e), ("nether", n_n), ("end", n_e)):
        if n <= 0:
            continue
        dim = Dim(d, name, a.seed, a.alloc)
        full, rim = explored(a.seed, n, rnd)
        byreg = collections.defaultdict(list)
        for c in full | rim:
            byreg[(c[0] >> 5, c[1] >> 5)].append(c)
        for k in sorted(byreg):
            cs = sorted(byreg[k], key=lambda c: (c[0] ** 2 + c[1] ** 2 + int(hash_coords(a.seed, *c)) % 400))  # roughly in order of discovery
            for (cx, cz) in cs:
                age = int(h01(a.seed + 3, cx // 6, cz // 6) * 3e6)
                now = EPOCH + (st["tick"] - age) // 20
                if (cx, cz) in full:
                    inh = int(-math.log(1 - h01(a.seed + 4, cx // 5, cz // 5) * 0.999) * 4000)
                    dim.generate(cx, cz, st["tick"] - age, now, inh)
                else:
                    dim.file("region", *k).write((cx & 31) + (cz & 31) * 32, proto_nbt(cx, cz, st["tick"] - age, a.seed), now)
            # an older world has been saved many times: rewriting moves chunks and leaves stale bytes behind
            for kind in ("region", "entities", "poi"):
                f = dim.file(kind, *k, create=False)
                if f is not None:
                    have = np.flatnonzero(f.loc).tolist()
                    rnd.shuffle(have)
                    for i in have[:int(len(have) * (0.35 if kind == "region" else 1.0))]:
                        f.write(i, None, int(f.ts[i]), deflated=f.raw(i))
            total += len(cs)
            dim.close()
            if a.verbose:
                print(name, k, len(cs), f"{total} chunks {time.time() - t0:.0f}s", file=sys.stderr)
        if name == "overworld":
            homes = sorted(c for c in full if c[0] % 7 == 0 and c[1] % 7 == 0)
            for i in range(a.max_players):
                hx, hz = homes[rnd.randrange(len(homes))] if i % 3 else (rnd.randint(-40, 40), rnd.randint(-40, 40))
                st["players"].append(dict(uuid=str(uuid.UUID(int=rnd.getrandbits(128))), hx=hx, hz=hz, x=hx, z=hz, mode="home", a=rnd.random() * 6.28, dim="overworld"))
    write_side_files(d, st, np.random.default_rng(a.seed), st["tick"], EPOCH + st["tick"] // 20)
    state_path(d).write_text(json.dumps(st))
    print(json.dumps(dict(chunks=total, bytes=sum(p.stat().st_size for p in d.rglob("*") if p.is_file()), seconds=round(time.time() - t0, 1))))


def cmd_play(a):
    d = Path(a.dir)
    st = json.loads(state_path(d).read_text())
    rng = np.random.default_rng([st["seed"], a.seed])
    dims = {n: Dim(d, n, st["seed"], a.alloc) for n in ("overworld", "nether", "end")}
    # how often a loaded chunk gets dirty: log-normal over chunks; at home about two thirds of them within an hour
    def rate(dim, cx, cz):
        return 0.09 * math.exp(1.1 * math.sqrt(2) * _erfinv(2 * float(h01(dim.seed + 21, cx, cz)) - 1))
    rounds = max(1, round(a.minutes / 5))
    players = st["players"][:a.players]
    for p in st["players"]:
        p["online"] = p in players
    cnt = collections.Counter()
    touched = set()
    for r in range(rounds):
        st["tick"] += 6000
        tick, now = st["tick"], EPOCH + st["tick"] // 20
        loaded = collections.defaultdict(dict)   # dim -> chunk -> closest distance to a player
        for p in players:
            if a.style == "home":
                p["mode"] = "home"
            elif a.style == "travel":
                p["mode"] = "travel"
            else:
                u = rng.random()
                if p["mode"] == "home":
                    p["mode"] = "travel" if u < 0.04 else "nether" if u < 0.07 else "home"
                elif p["mode"] == "travel":
                    p["mode"] = "home" if u < 0.4 else "travel"
                else:
                    p["mode"] = "home" if u < 0.4 else "nether"
            dim = "nether" if p["mode"] == "nether" else "overworld"
            path = []
            if p["mode"] == "travel":
                for _ in range(6):  # 6 legs of 10 chunks: about 12 chunks a minute
                    p["a"] += rng.normal() * 0.4
                    p["x"] += 10 * math.cos(p["a"])
                    p["z"] += 10 * math.sin(p["a"])
                    path.append((int(p["x"]), int(p["z"])))
            elif p["mode"] == "nether":
                bx, bz = p["hx"] // 8, p["hz"] // 8
                path = [(bx + int(rng.integers(-6, 7)), bz + int(rng.integers(-6, 7)))]
            else:
                p["x"], p["z"] = p["hx"] + int(rng.integers(-3, 4)), p["hz"] + int(rng.integers(-3, 4))
                path = [(p["x"], p["z"])]
            for (px, pz) in path:
                for i in range(px - a.view, px + a.view + 1):
                    for j in range(pz - a.view, pz + a.view + 1):
                        dd = max(abs(i - px), abs(j - pz))
                        o = loaded[dim].get((i, j), 99)
                        if dd < o:
                            loaded[dim][(i, j)] = dd
            p["moving"] = len(path) > 1
        for name, chunks in loaded.items():
            dim = dims[name]
            moving = any(p["moving"] for p in players)
            for (cx, cz), dist in sorted(chunks.items()):
                i = (cx & 31) + (cz & 31) * 32
                s = dim.status(cx, cz)
                f = dim.file("region", cx >> 5, cz >> 5)
                if s != 2:
                    dim.generate(cx, cz, tick, now, 0)
                    dim.set_status(cx, cz, 2)
                    cnt["generated" if s == 0 else "finished"] += 1
                    touched.add((name, "region", cx >> 5, cz >> 5))
                else:
                    lam = rate(dim, cx, cz)
                    heavy = dist <= 1
                    if heavy or rng.random() < 1 - math.exp(-lam * (0.6 if moving else 1.0)):
                        n = int(rng.integers(10, 120)) if heavy else 1 + int(rng.poisson(2))
                        f.write(i, mutate(f.read(i), tick, 300 if dist <= 8 else 0, n, rng), now)
                        cnt["rewritten"] += 1
                        touched.add((name, "region", cx >> 5, cz >> 5))
                e = dim.file("entities", cx >> 5, cz >> 5, create=False)
                if e is not None and e.loc[i]:
                    u = rng.random()
                    if u < 0.02:
                        e.clear(i, now)
                        cnt["entities_cleared"] += 1
                    elif u < 0.45:
                        e.write(i, entities_nbt(cx, cz, rng), now)
                        cnt["entities_changed"] += 1
                    else:
                        e.write(i, None, now, deflated=e.raw(i))
                        cnt["entities_same"] += 1
                    touched.add((name, "entities", cx >> 5, cz >> 5))
                elif rng.random() < 0.002:
                    dim.file("entities", cx >> 5, cz >> 5).write(i, entities_nbt(cx, cz, rng), now)
                    cnt["entities_new"] += 1
                q = dim.file("poi", cx >> 5, cz >> 5, create=False)
                if q is not None and q.loc[i] and rng.random() < 0.05:
                    if rng.random() < 0.3:
                        q.write(i, poi_nbt(cx, cz, rng), now)
                    else:
                        q.write(i, None, now, deflated=q.raw(i))
                    touched.add((name, "poi", cx >> 5, cz >> 5))
            # the rim beyond the view distance is created unfinished
            if moving:
                edge = set()
                for (cx, cz) in chunks:
                    for di, dj in ((-4, 0), (4, 0), (0, -4), (0, 4)):
                        c = (cx + di, cz + dj)
                        if c not in chunks:
                            edge.add(c)
                for (cx, cz) in sorted(edge):
                    if dim.status(cx, cz) == 0:
                        dim.file("region", cx >> 5, cz >> 5).write((cx & 31) + (cz & 31) * 32, proto_nbt(cx, cz, tick, st["seed"]), now)
                        dim.set_status(cx, cz, 1)
                        cnt["rim"] += 1
                        touched.add((name, "region", cx >> 5, cz >> 5))
    for dim in dims.values():
        dim.close()
    write_side_files(d, st, rng, st["tick"], EPOCH + st["tick"] // 20)
    state_path(d).write_text(json.dumps(st))
    cnt["files_touched"] = len(touched)
    cnt["region_files_touched"] = sum(1 for t in touched if t[1] == "region")
    print(json.dumps(dict(cnt)))


def _erfinv(y):
    y = min(0.999999, max(-0.999999, y))
    w = math.log(1 - y * y)
    t = 2 / (math.pi * 0.147) + w / 2
    return math.copysign(math.sqrt(math.sqrt(t * t - w / 0.147) - t), y)


# ----------------------------------------------------------------------------------------------------- inspection
def mca_files(d): return sorted(p for p in Path(d).rglob("*.mca"))


def kind_of(p): return p.parent.name if p.parent.name in ("region", "entities", "poi") else "region"


def cmd_verify(a):
    n = bad = 0
    for p in mca_files(a.dir):
        raw = p.read_bytes()
        if len(raw) % SECTOR or len(raw) < 8192:
            print("size", p)
            bad += 1
        loc = np.frombuffer(raw, ">u4", 1024)
        seen = np.zeros(len(raw) // SECTOR, np.uint8)
        seen[:2] = 1
        rx, rz = (int(v) for v in p.name.split(".")[1:3])
        for i in np.flatnonzero(loc):
            o, c = int(loc[i]) >> 8, int(loc[i]) & 255
            if o < 2 or o + c > len(seen) or seen[o:o + c].any():
                print("overlap", p, i)
                bad += 1
            seen[o:o + c] = 1
            ln, k = struct.unpack_from(">IB", raw, o * SECTOR)
            try:
                f = nbt_scan(zlib.decompress(raw[o * SECTOR + 5:o * SECTOR + 4 + ln]))
                if kind_of(p) == "region" and (f["xPos"], f["zPos"]) != (rx * 32 + i % 32, rz * 32 + i // 32):
                    raise ValueError("position")
            except Exception as e:
                print("chunk", p, i, e)
                bad += 1
            n += 1
    print(json.dumps(dict(chunks=n, bad=bad)))
    sys.exit(1 if bad else 0)


def cmd_stat(a):
    agg = collections.defaultdict(lambda: collections.Counter())
    sizes = collections.defaultdict(list)
    for p in mca_files(a.dir):
        raw = p.read_bytes()
        k = kind_of(p) if "DIM" not in str(p) else kind_of(p) + "*"
        g = agg[k]
        g["files"] += 1
        g["bytes"] += len(raw)
        loc = np.frombuffer(raw, ">u4", 1024)
        for v in loc[loc > 0].tolist():
            ln = struct.unpack_from(">I", raw, (v >> 8) * SECTOR)[0] + 4
            c = v & 255
            sizes[k].append((ln, c))
            g["used"] += c
            g["payload"] += ln
            g["slack_zero" if not any(raw[(v >> 8) * SECTOR + ln:((v >> 8) + c) * SECTOR]) else "slack_junk"] += 1
    for k, g in sorted(agg.items()):
        s = np.array(sizes[k])
        h = np.bincount(s[:, 1], minlength=6)[:8] / len(s)
        print(f"{k:10s} files {g['files']:4d}  {g['bytes'] / 1e6:8.1f} MB  chunks {len(s):6d}  payload mean {s[:, 0].mean():6.0f} median {np.median(s[:, 0]):6.0f} p90 {np.percentile(s[:, 0], 90):6.0f}  "
              f"sectors {s[:, 1].mean():.2f} {np.round(h, 2).tolist()}  holes {100 * (1 - (g['used'] + 2 * g['files']) * SECTOR / g['bytes']):.1f}%  slack {100 * (1 - g['payload'] / (g['used'] * SECTOR)):.0f}% (junk in {100 * g['slack_junk'] / len(s):.0f}%)")
    other = [p for p in Path(a.dir).rglob("*") if p.is_file() and p.suffix != ".mca"]
    print(f"other      files {len(other):4d}  {sum(p.stat().st_size for p in other) / 1e6:8.1f} MB")


def cmd_diff(a):
    A, Bd = Path(a.a), Path(a.b)
    tot = collections.defaultdict(collections.Counter)
    for p in mca_files(Bd):
        q = A / p.relative_to(Bd)
        k = kind_of(p)
        t = tot[k]
        rb = p.read_bytes()
        if not q.exists():
            t["new_files"] += 1
            t["bytes_new_files"] += len(rb)
            continue
        ra = q.read_bytes()
        if ra == rb:
            t["same_files"] += 1
            continue
        t["changed_files"] += 1
        t["bytes_changed_files"] += len(rb)
        la, lb = np.frombuffer(ra, ">u4", 1024), np.frombuffer(rb, ">u4", 1024)
        for i in range(1024):
            if not lb[i]:
                t["gone"] += bool(la[i])
                continue
            ob, nb = int(lb[i]) >> 8, int(lb[i]) & 255
            if not la[i]:
                t["new"] += 1
                t["changed_bytes"] += nb * SECTOR
                continue
            oa = int(la[i]) >> 8
            pa = ra[oa * SECTOR:oa * SECTOR + 4 + struct.unpack_from(">I", ra, oa * SECTOR)[0]]
            pb = rb[ob * SECTOR:ob * SECTOR + 4 + struct.unpack_from(">I", rb, ob * SECTOR)[0]]
            if pa != pb:
                t["changed"] += 1
                t["in_place"] += oa == ob
                t["changed_bytes"] += nb * SECTOR
            elif oa != ob:
                t["moved_same"] += 1
            else:
                t["same"] += 1
    for k, t in tot.items():
        print(k, dict(t))


# ------------------------------------------------------------------------------------------- estimating a borg repo
try:
    import lz4.block as _lz4
    def lz4_len(b): return len(_lz4.compress(b, store_size=False))
    LZ = "lz4"
except ImportError:
    def lz4_len(b): return len(zlib.compress(b, 1))
    LZ = "zlib-1 (no lz4 module: sizes a little too small)"

CRYPT = 41 + 2      # key type byte 1 + MAC 32 + nonce 8; compressor id 2
ENTRY = 41          # repository log entry header: crc 4, size 4, tag 1, id 32
ITEM_BASE = 190     # path, mode, owner, times, size as msgpack
MANIFEST_LIKE = 600  # archive metadata object


def cut_header(raw):
    loc = np.frombuffer(raw, ">u4", 1024) if len(raw) >= 8192 else np.zeros(0, np.uint32)
    return loc


def mca_spans(raw):
    """[(start, end)] in sectors, covering the file behind the header: chunks and the free runs between them"""
    n = -(-len(raw) // SECTOR)
    loc = cut_header(raw)
    at = sorted((int(v) >> 8, int(v) & 255) for v in loc[loc > 0].tolist())
    out, pos = [], 2
    for o, c in at:
        if o < pos or c == 0 or o >= n:
            continue  # overlapping, empty or out of range: ignore the entry, keep covering the bytes
        if o > pos:
            out.append((pos, o, 0))
        e = min(o + c, n)
        out.append((o, e, 1))
        pos = e
    if pos < n:
        out.append((pos, n, 0))
    return out


def pieces_chunk(raw, _prev=None):
    if len(raw) < 8192:
        return [(0, len(raw))] if raw else []
    return [(0, 8192)] + [(a * SECTOR, min(b * SECTOR, len(raw))) for a, b, _ in mca_spans(raw)]


def pieces_tiny(limit, window):
    def f(raw, _prev=None):
        """one piece per chunk, but neighbours whose payload is under `limit` bytes (unfinished rim chunks, points of
        interest) share a piece up to the next multiple of `window` bytes"""
        if len(raw) < 8192:
            return [(0, len(raw))] if raw else []
        out, run = [(0, 8192)], False
        for a, b, used in mca_spans(raw):
            a, b = a * SECTOR, min(b * SECTOR, len(raw))
            tiny = bool(used) and b - a <= SECTOR and a + 4 <= len(raw) and struct.unpack_from(">I", raw, a)[0] < limit
            if tiny and run and a % window:
                out[-1] = (out[-1][0], b)
            else:
                out.append((a, b))
            run = tiny
        return out
    return f


def pieces_tail(gran):
    def f(raw, _prev=None):
        """one piece per chunk, but the slack behind the payload (from the next multiple of gran bytes to the end of the
        chunk's last sector) is a piece of its own: a rewrite usually leaves those stale bytes as they were"""
        if len(raw) < 8192:
            return [(0, len(raw))] if raw else []
        out = [(0, 8192)]
        for a, b, used in mca_spans(raw):
            a, b = a * SECTOR, min(b * SECTOR, len(raw))
            cut = b
            if used and a + 5 <= len(raw):
                end = a + 4 + struct.unpack_from(">I", raw, a)[0]
                cut = min(b, max(a + gran, -(-end // gran) * gran)) if end < b else b
            out.append((a, cut))
            if cut < b:
                out.append((cut, b))
        return out
    return f


def pieces_group_count(k):
    def f(raw, _prev=None):
        """every k-th chunk in file order: boundaries shift as soon as one chunk moves"""
        p = pieces_chunk(raw)
        if len(p) < 2:
            return p
        g = p[1:]
        return p[:1] + [(g[i][0], g[min(i + k, len(g)) - 1][1]) for i in range(0, len(g), k)]
    return f


def pieces_group_anchor(kib):
    def f(raw, _prev=None):
        """cut at the first chunk boundary at or after each multiple of kib KiB: stable against moves elsewhere"""
        p = pieces_chunk(raw)
        if len(p) < 2:
            return p
        out, start, lim = p[:1], p[1][0], (p[1][0] // (kib * 1024) + 1) * kib * 1024
        for a, b in p[1:]:
            if b >= lim:
                out.append((start, b))
                start = b
                lim = (b // (kib * 1024) + 1) * kib * 1024
        if start < p[-1][1]:
            out.append((start, p[-1][1]))
        return out
    return f


def pieces_fixed(n, header=0):
    def f(raw, _prev=None):
        out = [(0, min(header, len(raw)))] if header and raw else []
        return out + [(i, min(i + n, len(raw))) for i in range(header if header < len(raw) else len(raw), len(raw), n)]
    return f


def ids_of(raw, spans, key=b"k" * 32):
    mv = memoryview(raw)
    h = hashlib.blake2b
    return [h(mv[a:b], digest_size=32, key=key).digest() for a, b in spans]


def pieces_adaptive(big_kib, finest=None, first=None):
    """Stateful.  First sight: pieces of big_kib KiB cut at chunk boundaries.  Later: walk the previous piece list
    of the same file; keep every old piece whose bytes are unchanged at the same offset; re-cut only the rest,
    there at single-chunk boundaries."""
    first = first or pieces_group_anchor(big_kib)

    def f(raw, prev):
        if prev is None:
            return first(raw)
        fine = (finest or pieces_chunk)(raw)
        cuts = sorted({a for a, _ in fine} | {b for _, b in fine})
        out, dirty = [], []

        def flush_dirty():
            if not dirty:
                return
            lo, hi = dirty[0][0], dirty[-1][1]
            at = [c for c in cuts_between(lo, hi)]
            pts = [lo] + at + [hi]
            out.extend((pts[i], pts[i + 1]) for i in range(len(pts) - 1))
            dirty.clear()

        import bisect

        def cuts_between(lo, hi):
            return cuts[bisect.bisect_right(cuts, lo):bisect.bisect_left(cuts, hi)]
        pos = 0
        for (a, b), i in prev:
            if a >= len(raw):
                break
            b2 = min(b, len(raw))
            if b2 == b and hashlib.blake2b(memoryview(raw)[a:b], digest_size=32, key=b"k" * 32).digest() == i:
                flush_dirty()
                out.append((a, b))
            else:
                dirty.append((a, b2))
            pos = b2
        if pos < len(raw):
            flush_dirty()
            # new tail: group fresh growth up to big_kib
            tail = [c for c in cuts_between(pos, len(raw))]
            pts, last = [pos], pos
            for c in tail:
                if c - last >= big_kib * 1024:
                    pts.append(c)
                    last = c
            pts.append(len(raw))
            out.extend((pts[k], pts[k + 1]) for k in range(len(pts) - 1))
        flush_dirty()
        return out
    return f


def pieces_file_hot(big_kib):
    """Per file: pieces of big_kib KiB as long as the file has never been seen changing (the cheap
    stand-in for a rule on the newest time stamp in its header),
    one piece per chunk from the first change on."""
    first = pieces_group_anchor(big_kib)

    def f(raw, prev):
        return first(raw) if prev is None else pieces_chunk(raw)
    return f


class Buz:
    """borg's buzhash chunker (its own random table, same statistics), vectorised"""

    def __init__(self, lo, hi, mask, win, seed=7):
        self.lo, self.hi, self.mask, self.win = 1 << lo, 1 << hi, (1 << mask) - 1, win
        self.t = np.random.default_rng(seed).integers(0, 2**32, 256, dtype=np.uint64).astype(np.uint32)

    def cuts(self, raw):
        n = len(raw)
        if n <= self.lo + self.win:
            return [n] if n else []
        b = np.frombuffer(raw, np.uint8)
        j = (np.arange(n) % 32).astype(np.uint32)
        v = self.t[b]
        x = (v >> j) | (v << ((32 - j) & 31))
        x = np.where(j == 0, v, x)
        X = np.bitwise_xor.accumulate(x)
        W = self.win
        d = X[W:] ^ X[:-W]
        r = ((np.arange(W, n)) % 32).astype(np.uint32)
        H = (d << r) | (d >> ((32 - r) & 31))
        H = np.where(r == 0, d, H)
        ok = np.flatnonzero((H & np.uint32(self.mask)) == 0) + W + 1  # cut after this many bytes
        out, pos, k = [], 0, 0
        while pos < n:
            if n - pos <= self.lo + W:
                out.append(n)
                break
            k = np.searchsorted(ok, pos + self.lo + W)
            e = min(int(ok[k]) if k < len(ok) else n, pos + self.hi, n)
            out.append(e)
            pos = e
        return out

    def __call__(self, raw, _prev=None):
        p = 0
        out = []
        for c in self.cuts(raw):
            out.append((p, c))
            p = c
        return out


STRATEGIES = {
    "buzhash 19,23,21 (borg default)": ("any", lambda: Buz(19, 23, 21, 4095)),
    "buzhash 12,20,16": ("any", lambda: Buz(12, 20, 16, 4095)),
    "buzhash 10,23,16": ("any", lambda: Buz(10, 23, 16, 4095)),
    "fixed 4 KiB": ("mca", lambda: pieces_fixed(4096)),
    "fixed 16 KiB": ("mca", lambda: pieces_fixed(16384, 8192)),
    "fixed 64 KiB": ("mca", lambda: pieces_fixed(65536, 8192)),
    "mc chunk, 1 per piece": ("mca", lambda: pieces_chunk),
    "8 chunks by count": ("mca", lambda: pieces_group_count(8)),
    "anchored 16 KiB": ("mca", lambda: pieces_group_anchor(16)),
    "anchored 32 KiB": ("mca", lambda: pieces_group_anchor(32)),
    "anchored 64 KiB": ("mca", lambda: pieces_group_anchor(64)),
    "anchored 128 KiB": ("mca", lambda: pieces_group_anchor(128)),
    "anchored 256 KiB": ("mca", lambda: pieces_group_anchor(256)),
    "adaptive 64 KiB -> 1 chunk": ("mca", lambda: pieces_adaptive(64)),
    "adaptive 256 KiB -> 1 chunk": ("mca", lambda: pieces_adaptive(256)),
    "adaptive 1 MiB -> 1 chunk": ("mca", lambda: pieces_adaptive(1024)),
    "file-wise: 1 MiB until it changes, then 1 chunk": ("mca", lambda: pieces_file_hot(1024)),
    "mc chunk, tiny ones merged to 32 KiB": ("mca", lambda: pieces_tiny(512, 32768)),
    "mc chunk, tiny ones merged to 128 KiB": ("mca", lambda: pieces_tiny(512, 131072)),
    "adaptive 256 KiB -> chunk, tiny merged": ("mca", lambda: pieces_adaptive(256, pieces_tiny(512, 32768))),
    "mc chunk + tail, 512 B": ("mca", lambda: pieces_tail(512)),
    "mc chunk + tail, 1 KiB": ("mca", lambda: pieces_tail(1024)),
    "adaptive 256 KiB -> chunk + tail 1 KiB": ("mca", lambda: pieces_adaptive(256, pieces_tail(1024))),
    "adaptive 1 MiB -> chunk + tail 1 KiB": ("mca", lambda: pieces_adaptive(1024, pieces_tail(1024))),
    "mc chunk, slack zeroed (not byte-identical)": ("zero", lambda: pieces_chunk),
}

# for files that are rewritten in place in pages (SQLite): `estimate --pages`
PAGE_STRATEGIES = {
    "buzhash 19,23,21 (borg default)": ("any", lambda: Buz(19, 23, 21, 4095)),
    "buzhash 12,20,16": ("any", lambda: Buz(12, 20, 16, 4095)),
    "fixed 4 KiB": ("page", lambda: pieces_fixed(4096)),
    "fixed 8 KiB": ("page", lambda: pieces_fixed(8192)),
    "fixed 16 KiB": ("page", lambda: pieces_fixed(16384)),
    "fixed 64 KiB": ("page", lambda: pieces_fixed(65536)),
    "adaptive 64 KiB -> 4 KiB": ("page", lambda: pieces_adaptive(64, pieces_fixed(4096), pieces_fixed(65536))),
    "adaptive 256 KiB -> 4 KiB": ("page", lambda: pieces_adaptive(256, pieces_fixed(4096), pieces_fixed(1 << 18))),
    "adaptive 1 MiB -> 4 KiB": ("page", lambda: pieces_adaptive(1024, pieces_fixed(4096), pieces_fixed(1 << 20))),
    "adaptive 256 KiB -> 16 KiB": ("page", lambda: pieces_adaptive(256, pieces_fixed(16384), pieces_fixed(1 << 18))),
}


def zero_slack(raw):
    """what the file would be with every byte that no reader ever looks at set to zero"""
    if len(raw) < 8192:
        return raw
    out = bytearray(len(raw))
    out[:8192] = raw[:8192]
    for v in cut_header(raw).tolist():
        if v:
            o, c = (v >> 8) * SECTOR, (v & 255) * SECTOR
            if o + 5 <= len(raw):
                n = min(4 + struct.unpack_from(">I", raw, o)[0], c)
                out[o:o + n] = raw[o:o + n]
    return bytes(out)


def entry_bytes(i, size, csize):
    def u(v): return bytes([v]) if v < 128 else b"\xcc" + bytes([v]) if v < 256 else b"\xcd" + struct.pack(">H", v) if v < 65536 else b"\xce" + struct.pack(">I", v)
    return b"\x93\xda\x00\x20" + i + u(size) + u(csize)  # borg 1.x: old raw type, array of 3


def cmd_estimate(a):
    d = Path(a.dir)
    sp = Path(a.state)
    st = pickle.loads(sp.read_bytes()) if sp.exists() else {"strategies": {}, "step": 0}
    table = PAGE_STRATEGIES if a.pages else STRATEGIES
    special = (".sqlite", ".db") if a.pages else (".mca",)
    want = [s for s in table if not a.only or any(o in s for o in a.only.split("|"))]
    buz_default = STRATEGIES["buzhash 19,23,21 (borg default)"][1]()
    items_chunker = Buz(15, 19, 17, 4095, seed=9)
    files = sorted((p for p in d.rglob("*") if p.is_file()), key=lambda p: str(p.relative_to(d)))
    rows = []
    stamp = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in files}
    cache = {}

    def load(p):
        if p not in cache:
            if len(cache) > 4:
                cache.clear()
            cache[p] = p.read_bytes()
        return cache[p]
    todo = {}
    for s in want:
        todo[s] = st["strategies"].setdefault(s, {"known": {}, "files": {}, "meta0": set(), "meta1": set()})
    chunkers = {s: table[s][1]() for s in want}
    acc = {s: dict(data=0, entry=0, new=0, pieces=0, raw=0) for s in want}
    for p in files:
        rel = str(p.relative_to(d))
        raw = None
        for s in want:
            S, A = todo[s], acc[s]
            f = S["files"].get(rel)
            if f is None or f["stamp"] != stamp[p]:
                if raw is None:
                    raw = load(p)
                kind = table[s][0]
                body = raw
                if p.suffix in special and kind == "zero":
                    body = zero_slack(raw)
                if p.suffix in special or kind == "any":
                    spans = chunkers[s](body, f["pieces"] if f else None)
                else:
                    spans = buz_default(body)
                ids = ids_of(body, spans)
                ent = []
                for (x, y), i in zip(spans, ids):
                    c = S["known"].get(i)
                    if c is None:
                        c = lz4_len(body[x:y]) + CRYPT
                        S["known"][i] = c
                        A["data"] += c
                        A["entry"] += ENTRY
                        A["new"] += 1
                        A["raw"] += y - x
                    ent.append(entry_bytes(i, y - x, c))
                f = S["files"][rel] = dict(stamp=stamp[p], pieces=list(zip(spans, ids)), ent=ent)
            A["pieces"] += len(f["ent"])
    for s in want:
        S, A = todo[s], acc[s]
        for rel in [r for r in S["files"] if not (d / r).exists()]:
            del S["files"][rel]
        # metadata stream: items in path order
        stream, cuts1 = [], []
        pos = 0
        m1 = m1n = 0
        total1 = 0
        for rel in sorted(S["files"]):
            f = S["files"][rel]
            head = (rel.encode() + struct.pack(">QQ", *f["stamp"])).ljust(ITEM_BASE, b"m")[:max(ITEM_BASE, len(rel) + 16)]
            # (1) our own cut of the stream: at item starts, and inside long chunk lists at id-defined entries
            seg, run = [head], 0
            blocks = []
            for e in f["ent"]:
                seg.append(e)
                run += len(e)
                if run >= 4096 and (e[4] & 0x3F) == 0 or run >= 32768:
                    blocks.append(b"".join(seg))
                    seg, run = [], 0
            if seg:
                blocks.append(b"".join(seg))
            # small items share a metadata object with their neighbours in the same folder
            stream.append((rel.rsplit("/", 1)[0], blocks))
        buf, cur = [], None
        objs = []
        for folder, blocks in stream:
            big = len(blocks) > 1 or len(blocks[0]) > 4096
            if big or folder != cur or sum(map(len, buf)) > 16384:
                if buf:
                    objs.append(b"".join(buf))
                buf, cur = [], folder
            if big:
                objs.extend(blocks)
            else:
                buf.append(blocks[0])
        if buf:
            objs.append(b"".join(buf))
        for o in objs:
            i = hashlib.blake2b(o, digest_size=16).digest()
            if i not in S["meta1"]:
                S["meta1"].add(i)
                m1 += lz4_len(o) + CRYPT + ENTRY
                m1n += 1
        total1 = len(objs)
        # (0) borg's own: one stream, buzhash 15,19,17
        whole = b"".join(b"".join(b) for _, b in stream)
        m0 = n0 = 0
        for x, y in items_chunker(whole):
            o = whole[x:y]
            i = hashlib.blake2b(o, digest_size=16).digest()
            n0 += 1
            if i not in S["meta0"]:
                S["meta0"].add(i)
                m0 += lz4_len(o) + CRYPT + ENTRY
        per_archive0 = MANIFEST_LIKE + 34 * n0 + 3 * (CRYPT + ENTRY)
        per_archive1 = MANIFEST_LIKE + 34 * total1 + 3 * (CRYPT + ENTRY)
        r = dict(step=st["step"], label=a.label, strategy=s, pieces=A["pieces"], new=A["new"], raw=A["raw"], data=A["data"] + A["entry"],
                 meta_borg=m0 + per_archive0, meta_cut=m1 + per_archive1, meta_objects_borg=n0, meta_objects_cut=total1, list_bytes=len(whole), unique=len(S["known"]))
        rows.append(r)
    st["step"] += 1
    sp.write_bytes(pickle.dumps(st))
    for r in rows:
        print(json.dumps(r) if a.json else f"{r['strategy']:46s} pieces {r['pieces']:7d} new {r['new']:6d}  data {r['data'] / 1e6:9.3f} MB  meta(borg cut) {r['meta_borg'] / 1e6:7.3f}  meta(own cut) {r['meta_cut'] / 1e6:7.3f}")
    if not a.json:
        print("sizes with", LZ)


# -------------------------------------------------------------------------------------------------------- sqlite
def cmd_sqlite(a):
    """Luanti (Minetest) keeps one row per 16x16x16 map block: blocks(pos INT PRIMARY KEY, data BLOB) - "INT", so a rowid table
    with a separate index - data = format byte 29 + zstd (28: zlib), 4096-byte pages, rollback journal.  zlib stands in for
    zstd.  A map generated by the real 5.6 server has about 320 B per row.  REPLACE deletes and re-inserts: the row gets a
    new rowid at the end of the table, its old page keeps the stale bytes."""
    d = Path(a.dir)
    d.mkdir(parents=True, exist_ok=True)
    f = d / "map.sqlite"
    db = sqlite3.connect(f)
    db.execute("PRAGMA page_size=4096")
    db.execute("PRAGMA synchronous=1")
    db.execute("CREATE TABLE IF NOT EXISTS `blocks` (`pos` INT PRIMARY KEY, `data` BLOB)")
    rng = np.random.default_rng(a.seed)

    def pos(x, y, z): return z * 0x1000000 + y * 0x1000 + x

    def block(x, y, z, salt):
        r = np.random.default_rng([abs(x) + 1, abs(y) + 1, abs(z) + 1, (x < 0) * 4 + (y < 0) * 2 + (z < 0), salt])
        if y > 2:
            ids = np.zeros(4096, ">u2")
        else:
            ids = np.full(4096, 1, ">u2")
            for k in range(2, 5):
                at = int(r.integers(4000))
                ids[at:at + int(r.integers(4, 60))] = k
            if y in (0, 1, 2):
                m = np.zeros(4096, bool)
                m[:256 * int(r.integers(0, 5))] = True
                m &= r.random(4096) < 0.3
                ids[m] = r.integers(9, 20, int(m.sum()))
        light = np.repeat(r.integers(0, 16, 64).astype(np.uint8), 64) if y in (0, 1) else np.zeros(4096, np.uint8)
        p2 = np.zeros(4096, np.uint8)
        return b"\x1d" + zlib.compress(b"\x00" + struct.pack(">I", salt) + ids.tobytes() + light.tobytes() + p2.tobytes(), 3)
    n = db.execute("SELECT count(*) FROM blocks").fetchone()[0]
    changed = 0
    if n == 0:
        side = max(4, round((a.blocks / 10) ** 0.5))
        with db:
            cells = [(x, z) for x in range(-side // 2, side // 2) for z in range(-side // 2, side // 2)]
            cells.sort(key=lambda c: (c[0] // 5) ** 2 + (c[1] // 5) ** 2)  # map generation works in 5x5x5 lumps
            for x, z in cells:
                for y in range(-5, 5):
                    db.execute("INSERT OR REPLACE INTO blocks VALUES (?,?)", (pos(x, y, z), block(x, y, z, 0)))
                    changed += 1
    if a.play:
        lim = max(4, round((n / 10) ** 0.5) // 2)
        for step in range(max(1, int(a.play * 60 // 60))):  # a flush a minute is enough detail (server_map_save_interval is 5.3 s)
            with db:
                for pl in range(a.players):
                    r = np.random.default_rng([a.seed, pl])
                    hx, hz = int(r.integers(-lim + 3, lim - 2)), int(r.integers(-lim + 3, lim - 2))
                    for _ in range(int(rng.poisson(12))):
                        x, y, z = hx + int(rng.integers(-3, 4)), int(rng.integers(-2, 3)), hz + int(rng.integers(-3, 4))
                        db.execute("INSERT OR REPLACE INTO blocks VALUES (?,?)", (pos(x, y, z), block(x, y, z, int(rng.integers(1, 1 << 30)))))
                        changed += 1
                    if rng.random() < 0.1:
                        x0, z0 = lim + int(rng.integers(0, 40)), int(rng.integers(-lim, lim))
                        for i in range(5):
                            for j in range(5):
                                for y in range(-5, 0):
                                    db.execute("INSERT OR REPLACE INTO blocks VALUES (?,?)", (pos(x0 + i, y, z0 + j), block(x0 + i, y, z0 + j, 0)))
                                    changed += 1
    db.close()
    (d / "world.mt").write_text("gameid = minetest\nbackend = sqlite3\nplayer_backend = sqlite3\nauth_backend = sqlite3\n")
    print(json.dumps(dict(rows_written=changed, bytes=f.stat().st_size)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="cmd", required=True)
    p = sub.add_parser("create")
    p.add_argument("dir")
    p.add_argument("--regions", type=int, default=64, help="region/ files over all dimensions")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--max-players", type=int, default=8, dest="max_players")
    p.add_argument("--alloc", choices=["modern", "inplace"], default="modern")
    p.add_argument("-v", "--verbose", action="store_true")
    p.set_defaults(f=cmd_create)
    p = sub.add_parser("play")
    p.add_argument("dir")
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--players", type=int, default=4)
    p.add_argument("--seed", type=int, default=2)
    p.add_argument("--view", type=int, default=10, help="view distance in chunks")
    p.add_argument("--style", choices=["mixed", "home", "travel"], default="mixed")
    p.add_argument("--alloc", choices=["modern", "inplace"], default="modern")
    p.set_defaults(f=cmd_play)
    for n, fn in (("verify", cmd_verify), ("stat", cmd_stat)):
        p = sub.add_parser(n)
        p.add_argument("dir")
        p.set_defaults(f=fn)
    p = sub.add_parser("diff")
    p.add_argument("a")
    p.add_argument("b")
    p.set_defaults(f=cmd_diff)
    p = sub.add_parser("estimate")
    p.add_argument("dir")
    p.add_argument("--state", required=True)
    p.add_argument("--label", default="")
    p.add_argument("--only", default="", help="substrings of strategy names, separated by |")
    p.add_argument("--pages", action="store_true", help="compare ways of cutting SQLite files instead of .mca files")
    p.add_argument("--json", action="store_true")
    p.set_defaults(f=cmd_estimate)
    p = sub.add_parser("sqlite")
    p.add_argument("dir")
    p.add_argument("--blocks", type=int, default=60000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--play", type=float, default=0)
    p.add_argument("--players", type=int, default=4)
    p.set_defaults(f=cmd_sqlite)
    a = ap.parse_args()
    a.f(a)


if __name__ == "__main__":
    main()
