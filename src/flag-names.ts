/** The two spellings of a setting: `ppo.learningRate` in programs and files, `--ppo.learning-rate` on the command line. */

/** The flag of a setting: `--ppo.learning-rate` of `ppo.learningRate`. */
export const flagFor = (setting: string): string =>
  `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The setting of a flag, with its dashes or without: `ppo.learningRate` of `--ppo.learning-rate`. */
export const settingFor = (flag: string): string =>
  flag.replace(/^--/, '').replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
