/** heed rl: PPO, A2C, TRPO or SAC on the environment's own reward. */
import type { Command } from 'commander';
import { rlRecord } from '../../control/rl-record.ts';
import { addTraining } from '../run/run-training.ts';
import { showDefaultsByEnvironment } from './defaults.ts';

export function addRl(command: Command): void {
  addTraining(command, rlRecord);
  showDefaultsByEnvironment(command, rlRecord);
}
