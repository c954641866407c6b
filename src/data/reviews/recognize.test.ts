import { describe, expect, it } from 'vitest';
import { templates } from './grammar.ts';
import { recognizeSentence, recognizeText, sentencesOf } from './recognize.ts';

const words = (text: string) => text.split(' ');
const why = (sentence: string) => {
  const verdict = recognizeSentence(words(sentence));
  return verdict.accepted ? 'accepted' : verdict.reason;
};

describe('recognizeSentence', () => {
  it.each([
    ['on friday my aunt took me to the spa .', 'opening'],
    ['in may we came to the castle .', 'opening'],
    ['the chips were extremely savoury .', 'body'],
    ['the chips were both savoury and brilliant .', 'body'],
    ['the chips were savoury yet the landlord was hostile .', 'body'],
    ['the chips were savoury yet the landlord was elderly .', 'body'],
    ['we loathed both the chips and the quiz .', 'body'],
    ['hugo , our manager , was fairly moody .', 'introduction'],
    ['she showed us the gate .', 'followUp'],
    ['what an impressive friday we had .', 'closing'],
    ['all in all a lousy castle .', 'closing'],
    ['in short it was an unremarkable monday .', 'closing'],
  ])('accepts %s', (sentence, role) => {
    const verdict = recognizeSentence(words(sentence));
    expect(verdict.accepted && verdict.template.role).toBe(role);
  });

  it.each([
    ['the chips was extremely savoury .', "Word 3, 'was', is not the verb of 'chips'."],
    ['the gravy were extremely savoury .', "Word 3, 'were', is not the verb of 'gravy'."],
    ['the spa was extremely savoury .', "Word 2, 'spa', is not an item."],
    ['the chips were savoury savoury .', "Word 4, 'savoury', is not one of the class 'adverb'."],
    ['the chips were extremely sofia .', "Word 5, 'sofia', is not an adjective."],
    ['the chips were extremely courteous .', "Word 5, 'courteous', is not an adjective of 'chips'."],
    ['the chips were both savoury and savoury .', "Word 7, 'savoury', is not another adjective."],
    ['the chips were both savoury and rotten .', "Word 7, 'rotten', is not of the polarity praise."],
    [
      'the chips were savoury yet the ale was nourishing .',
      "Word 9, 'nourishing', is not of another polarity than praise.",
    ],
    ['the chips were savoury yet the chips were rotten .', "Word 7, 'chips', is not another item."],
    ['we loathed both the chips and the chips .', "Word 8, 'chips', is not another item."],
    ['i adored their rotten chips .', "Word 4, 'rotten', is not of the polarity praise."],
    ['i rotten their rotten chips .', "Word 2, 'rotten', is not a verb of opinion."],
    ['hugo , our quiz , was fairly witty .', "Word 4, 'quiz', is not one person."],
    ['hugo , our acrobats , was fairly moody .', "Word 4, 'acrobats', is not one person."],
    ['what a impressive friday we had .', "Word 2, 'a', is not the article of 'impressive'."],
    ['what an lovely friday we had .', "Word 2, 'an', is not the article of 'lovely'."],
    ['what an appalling friday we had .', "Word 3, 'appalling', is not how this closing sums up."],
    ['all in all a sturdy castle .', "Word 5, 'sturdy', is not an adjective of everything."],
    ['all in all a lousy friday .', "Word 6, 'friday', is not a place."],
    ['that may the chips were savoury .', "Word 2, 'may', is not one of the class 'day'."],
    ['indeed a chips were savoury .', "Word 2, 'a', is not 'the'."],
    ['indeed the chips were savoury', "Word 1, 'indeed', is not 'we'."],
    ['.', 'No sentence has 1 words.'],
  ])('refuses %s', (sentence, reason) => {
    expect(why(sentence)).toBe(reason);
  });

  it('refuses every template with a word more, a word less or two words exchanged', () => {
    expect(templates.length).toBe(27);
    for (const sentence of [
      'on friday my aunt took me to the spa .',
      'my wife and i chose the market for sunday .',
      'for the fifth time i tried the castle .',
      'we queued fifty minutes for the lukewarm gravy .',
      'alice , our butcher , was unusually generous .',
      'save your money and avoid the harbour .',
      'everyone called the banquet fairly typical .',
    ]) {
      const whole = words(sentence);
      expect(why(sentence)).toBe('accepted');
      for (let i = 0; i < whole.length - 1; i++) {
        expect(why(whole.toSpliced(i, 1).join(' '))).not.toBe('accepted');
        expect(why(whole.toSpliced(i, 0, whole[i]).join(' '))).not.toBe('accepted');
        expect(why(whole.toSpliced(i, 2, whole[i + 1], whole[i]).join(' '))).not.toBe('accepted');
      }
    }
  });
});

describe('sentencesOf', () => {
  it('splits after full stops and keeps what is unfinished', () => {
    expect(sentencesOf(words('a b . c .'))).toEqual([
      ['a', 'b', '.'],
      ['c', '.'],
    ]);
    expect(sentencesOf(words('a . b'))).toEqual([['a', '.'], ['b']]);
    expect(sentencesOf([])).toEqual([]);
  });
});

describe('recognizeText', () => {
  const opening = 'in may we came to the tavern .';
  const body = 'the chips were extremely savoury .';
  const closing = 'we cannot wait to return .';
  const introduction = 'hugo , our landlord , was fairly moody .';
  const reasons = (...sentences: string[]) => recognizeText(words(sentences.join(' '))).reasons;

  it('takes what the grammar could have written', () => {
    const verdict = recognizeText(words([opening, introduction, 'he showed us the gate .', body, closing].join(' ')));
    expect(verdict).toMatchObject({ accepted: 1, coherent: true, reasons: [] });
    expect(verdict.sentences).toHaveLength(5);
  });

  it('counts the sentences it accepts', () => {
    const verdict = recognizeText(words(`${opening} the chips was rotten rotten . ${body} we cannot`));
    expect(verdict).toMatchObject({ accepted: 0.5, coherent: false });
    expect(verdict.reasons[0]).toMatch(/^Sentence 2: Word 3/);
    expect(recognizeText([])).toMatchObject({ accepted: 0, coherent: false, sentences: [] });
  });

  it.each([
    ['another place', [opening, body, 'all in all a lovely castle .'], 'It is of the tavern and names the castle.'],
    ['an item of another place', [opening, 'the banquet was extremely savoury .'], "'banquet' belongs to the castle."],
    ['an item named twice', [opening, body, 'indeed the chips were savoury .'], "'chips' comes twice."],
    [
      'a pronoun of nobody',
      [opening, body, 'he showed us the ale .'],
      'Sentence 3 speaks of a man whom the one before does not name.',
    ],
    [
      'the wrong pronoun',
      [opening, introduction, 'she showed us the ale .'],
      'Sentence 3 speaks of a woman whom the one before does not name.',
    ],
    [
      'a late pronoun',
      [opening, introduction, body, 'he showed us the ale .'],
      'Sentence 4 speaks of a man whom the one before does not name.',
    ],
    ['no opening', ['the gate was fairly wide .', closing], 'It does not start with an opening.'],
    ['two openings', [opening, 'for the sixth time i tried the tavern .', body], 'Sentence 2 is another opening.'],
    ['a closing too early', [opening, closing, body], 'Sentence 2 is a closing before the end.'],
    ['two closings', [opening, body, closing, 'do not miss the tavern .'], 'Sentence 3 is a closing before the end.'],
    ['no body', [opening, closing], 'There is no body.'],
    ['an opening alone', [opening], 'There is no body.'],
  ])('refuses %s', (_, sentences, reason) => {
    expect(reasons(...sentences)).toEqual([reason]);
  });
});
