/**
 * Known accelerators. Memory, bf16 speed without sparsity, and bandwidths are those of the makers' data sheets; what
 * trainings reach of the speed is measured by others. docs/reference/plan.md lists the sources.
 */
import { HeedError } from '../../error.ts';

/** An accelerator. */
export interface ClusterDevice {
  /** Its name, as in `8xH100`. */
  name: string;
  /** Memory in bytes. */
  memory: number;
  /** Dense bf16 operations per second, at most. */
  flops: number;
  /** Bytes per second from its memory, at most. */
  bandwidth: number;
  /** Bytes per second to another device of its node, in one direction. */
  link: number;
  /** Bytes per second to another node, in one direction: its share of the node's network. */
  network: number;
  /** Share of `flops` that trainings reach, recomputed layers included. */
  utilization: number;
}

/** What trainings reach of `flops`: measured on A100 and H100 (torchtitan), assumed for their relatives. */
const AMPERE = 0.5;
const HOPPER = 0.4;

const GIB = 2 ** 30;

/** Networks of the makers' eight-device nodes: 200 and 400 Gbit/s per device; else 100 Gbit/s for eight devices. */
const HDR = 25e9;
const NDR = 50e9;
const ETHERNET = 1.6e9;

type Row = readonly [gib: number, teraflops: number, gigabytes: number, link: number, network: number, reached: number];

const rows: Readonly<Record<string, Row>> = {
  'A100-40GB': [40, 312, 1555, 300e9, HDR, AMPERE],
  'A100-80GB': [80, 312, 2039, 300e9, HDR, AMPERE],
  'A800-80GB': [80, 312, 2039, 200e9, HDR, AMPERE],
  A10: [22.5, 125, 600, 32e9, ETHERNET, AMPERE],
  A6000: [48, 155, 768, 32e9, ETHERNET, AMPERE],
  L4: [22.5, 121, 300, 32e9, ETHERNET, AMPERE],
  L40S: [45, 362, 864, 32e9, ETHERNET, HOPPER],
  'RTX-3090': [24, 71, 936, 32e9, ETHERNET, AMPERE],
  'RTX-4090': [24, 165, 1008, 32e9, ETHERNET, AMPERE],
  'RTX-5090': [32, 209, 1792, 64e9, ETHERNET, AMPERE],
  H100: [80, 989, 3350, 450e9, NDR, HOPPER],
  H800: [80, 989, 3350, 200e9, NDR, HOPPER],
  H20: [95, 148, 4000, 450e9, NDR, AMPERE],
  H200: [140, 989, 4800, 450e9, NDR, HOPPER],
  B200: [179, 2250, 8000, 900e9, NDR, HOPPER],
  MI300X: [192, 1307, 5300, 448e9, NDR, HOPPER],
};

/** The accelerators that `planCluster` knows, by name. */
export const knownDevices: readonly ClusterDevice[] = Object.entries(rows).map(
  ([name, [gib, teraflops, gigabytes, link, network, utilization]]) => ({
    name,
    memory: gib * GIB,
    flops: teraflops * 1e12,
    bandwidth: gigabytes * 1e9,
    link,
    network,
    utilization,
  }),
);

/** A number of equal nodes. */
export interface Cluster {
  /** Number of nodes. */
  nodes: number;
  /** Devices in each node. */
  perNode: number;
  /** The device. */
  device: ClusterDevice;
}

/**
 * Reads `8xH100` (one node) or `2x8xA100-80GB` (two nodes of eight). Letter case, spaces and hyphens do not matter.
 *
 * @throws HeedError for another form, or a device that is not known.
 */
export function parseCluster(text: string): Cluster {
  const [, nodes, perNode, name] = /^(?:(\d+)\s*[x×]\s*)?(\d+)\s*[x×]\s*(\S.*)$/i.exec(text.trim()) ?? [];
  if (name === undefined || Number(nodes ?? 1) < 1 || Number(perNode) < 1) {
    throw new HeedError(`"${text}" is not a cluster.`, {
      hint: 'Give devices × name, such as 8xH100, or nodes × devices × name, such as 2x8xA100-80GB.',
    });
  }
  const plain = (name: string) => name.toLowerCase().replace(/[\s_-]|gb$/g, '');
  const device = knownDevices.find((device) => plain(device.name) === plain(name));
  if (!device) {
    throw new HeedError(`There is no device "${name}".`, {
      hint: `Known devices are ${knownDevices.map(({ name }) => name).join(', ')}.`,
    });
  }
  return { nodes: Number(nodes ?? 1), perNode: Number(perNode), device };
}
