import { expect, it } from 'vitest'
import { pieces } from './json'

it('cuts JSON into pieces and loses nothing', () => {
  const value = { 'a "quoted" key': [1, -2.5e3, 'te\\"xt: <img onerror=x>', true, null], nested: {} }
  const text = JSON.stringify(value, null, 2)
  const cut = pieces(text)
  expect(cut.map((piece) => piece.text).join('')).toBe(text)
  expect(cut.filter((piece) => piece.kind !== 'plain').map((piece) => [piece.kind, piece.text])).toEqual([
    ['key', '"a \\"quoted\\" key"'],
    ['number', '1'],
    ['number', '-2500'],
    ['string', JSON.stringify('te\\"xt: <img onerror=x>')],
    ['word', 'true'],
    ['word', 'null'],
    ['key', '"nested"'],
  ])
})
