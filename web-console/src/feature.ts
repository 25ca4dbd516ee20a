/** What a feature of the console brings along. */
import type { Router, RouteRecordRaw } from 'vue-router'
import type { Right } from './session/session'

export interface Texts {
  [key: string]: string | Texts
}

/** The names of all texts below: `state.ready`. */
export type Leaves<T> = {
  [K in keyof T & string]: T[K] extends string ? K : `${K}.${Leaves<T[K]>}`
}[keyof T & string]

/** The same keys, other words. */
export type Translated<T> = { [K in keyof T]: T[K] extends string ? string : Translated<T[K]> }

export type NavigationGroup = 'work' | 'engine' | 'setup' | 'system'

/** A place of the sidebar; its words are `<feature>.title` if nothing else is said. */
export interface NavigationEntry {
  /** The path that it leads to. */
  to: string
  /** The whole key of its words. */
  text?: string
  /** Bundled icons only: `i-lucide-…`, written out so that the build finds it. */
  icon: string
  group: NavigationGroup
  /** `g` and then this letter goes there. */
  letter?: string
  /** Shown only to those who hold it. */
  right: Right
}

/** Something the palette can do beyond going somewhere. */
export interface PaletteAction {
  id: string
  /** A key below `<feature>.`. */
  text: string
  icon: string
  right: Right
  act: (router: Router) => unknown
}

export interface Feature<N extends string, T extends Texts> {
  name: N
  /** `meta.right` says which right a route needs. Components are loaded when they are needed: `() => import(…)`. */
  routes: RouteRecordRaw[]
  navigation?: NavigationEntry[]
  palette?: PaletteAction[]
  texts: { en: T; ru: Translated<T> }
}

/** Checks a feature and keeps its types. */
export function defineFeature<const N extends string, T extends Texts & { title: string }>(
  feature: Feature<N, T>,
): Feature<N, T> {
  return feature
}
