"""The rules that section 8 maps: what each asks for, what FairLens shows of it, what it cannot show.

Texts: Regulation (EU) 2024/1689 (OJ L, 2024/1689, 12.7.2024); 29 CFR part 1607; Regulation (EU) 2016/679; the Digital Personal
Data Protection Act, 2023 (No. 22 of 2023) and the Rules of 2025; New York City Administrative Code § 20-870 to § 20-874 and Rules of the
City of New York, title 6, § 5-300 to § 5-304. Paraphrased; nobody is advised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fairlens_backend.report_sections import _words as w


@dataclass(frozen=True)
class Provision:
    """One article or section; `shows` names facts of the report in braces (see `facts`)."""

    reference: str
    asks: str
    shows: str
    cannot: str


@dataclass(frozen=True)
class Instrument:
    """One act with those of its provisions that are mapped."""

    title: str
    about: str
    provisions: tuple[Provision, ...]


AI_ACT: Final = Instrument(
    "EU AI Act (Regulation (EU) 2024/1689)",
    "The articles below bind providers of high-risk AI systems (Article 6, Annexes I and III); deployers have duties of their own (Article 26). Whether this"
    " model is such a system, FairLens does not decide. {annex} An amending regulation adopted in June 2026 postpones the application of these requirements, for"
    " systems of Annex III to 2 December 2027; which dates and wording are in force has to be looked up.",
    (
        Provision(
            "Article 9, risk management system",
            "A process over the whole life cycle that identifies and evaluates risks to health, safety and fundamental rights, also from the data of"
            " post-market monitoring (paragraph 2), and tests against metrics and probabilistic thresholds that were defined beforehand (paragraph 8).",
            "Metrics with limits that are kept with each audit and cannot be changed afterwards; {audits} of them in the range, {alerting} of which alerted;"
            " intervals and tests that say how far a breach is beyond chance (section 3).",
            "Other risks than differences between groups; whether the remaining risk is acceptable; testing before the system was placed on the market; the measures"
            " taken (paragraph 5).",
        ),
        Provision(
            "Article 10, data and data governance",
            "Training, validation and testing data that are relevant, sufficiently representative and examined for possible biases that are likely to lead to"
            " discrimination, with measures to detect, prevent and mitigate them (paragraphs 2(f), 2(g) and 3).",
            "How the decisions in operation are spread over {attributes}, and how they differ between groups and crossings (section 4); what share of the protected"
            " attributes is unknown (section 2).",
            "The data sets that the model was trained, validated and tested on: FairLens sees its decisions. Whether recording protected attributes was lawful (paragraph"
            " 5, or what has replaced it; Article 9 of the GDPR).",
        ),
        Provision(
            "Article 12, record-keeping",
            "Automatic recording of events over the system's lifetime, so that its functioning can be traced, risks and substantial modifications found, and post-market"
            " monitoring done.",
            "Every audit is a record in a chain of hashes and an entry of an append-only Merkle log; {records}. Each holds its count table, limits and version, so that its"
            " count-based figures can be computed again.",
            "The system's own logs of single uses: these records are of audits. How long records are kept is the operator's setting; Articles 19 and 26(6) ask for at least six"
            " months for the system's logs.",
        ),
        Provision(
            "Article 13, transparency to deployers",
            "Instructions for use with, among other things, the level of accuracy and its metrics (paragraph 3(b)(ii)), where appropriate the performance regarding the"
            " specific persons or groups that the system is meant for (3(b)(v)), and how logs are collected and read (3(f)).",
            "Selection rates{error_rates} of every group with interval and size (section 4), in words a deployer can use.",
            "The instructions themselves; the intended purpose; human oversight measures (Article 14).",
        ),
        Provision(
            "Article 15, accuracy, robustness and cybersecurity",
            "An appropriate level of accuracy, robustness and cybersecurity, held consistently over the life cycle, with declared levels and metrics (paragraphs 1 and 3),"
            " and for systems that go on learning a guard against feedback loops of biased outputs (paragraph 4).",
            "Whether the fairness figures hold their level over time, with breakpoints and alarms (section 5){accuracy}.",
            "Robustness against errors and attacks; cybersecurity; whether the accuracy is what was declared, which FairLens is not told; whether outputs become inputs.",
        ),
        Provision(
            "Article 72, post-market monitoring",
            "A documented system with which the provider actively and systematically collects, documents and analyses data on performance over the system's lifetime, to"
            " evaluate its continuous compliance, on the basis of a plan (paragraphs 1 to 3).",
            "Recurring audits of the decisions in operation from {first} to {last}, with alerts (section 7) and this report.",
            "The plan; compliance with the other requirements; interaction with other AI systems; the reporting of serious incidents (Article 73).",
        ),
    ),
)  # fmt: skip

EEOC: Final = Instrument(
    "Four-fifths rule (United States, 29 CFR § 1607.4(D))",
    "The Uniform Guidelines on Employee Selection Procedures concern employment decisions, and race, sex and ethnic groups. {employment} The EEOC has announced the rescission of"
    " its part of them (RIN 3046-AB43), and enforcement priorities change; whether they apply to a case has to be looked up. Title VII itself (42 U.S.C. § 2000e-2(k)) is"
    " not changed by that.",
    (
        Provision(
            "29 CFR § 1607.4(D)",
            "A selection rate for a race, sex or ethnic group under four-fifths of the rate of the group with the highest rate is generally regarded as evidence of adverse impact."
            " Smaller differences may be adverse impact where they are significant in both statistical and practical terms; greater ones may be none where they rest on small numbers and"
            " are not statistically significant.",
            "{four_fifths}",
            "Selection for a particular job and by component (§ 1607.4(C)); who was discouraged from applying; whether a procedure with adverse impact is valid and job-related"
            " (§§ 1607.3, 1607.5 and 1607.14), and whether a less adverse alternative exists.",
        ),
    ),
)  # fmt: skip

GDPR: Final = Instrument(
    "GDPR Article 22 (Regulation (EU) 2016/679)",
    "The article concerns decisions based solely on automated processing, including profiling, that have legal or similarly significant effects. A score can be such a decision where"
    " others draw strongly on it (Court of Justice, C-634/21, SCHUFA Holding, 7 December 2023).",
    (
        Provision(
            "Article 22(1) to (3), with recital 71",
            "No such decision except by contract, law or explicit consent; safeguards, at least human intervention, the right to express one's point of view and to contest the"
            " decision. Recital 71 adds appropriate statistical procedures and the prevention of discriminatory effects.",
            "A statistical procedure over all recorded decisions by group, repeated and kept ({audits} in the range), which is part of what recital 71 names.",
            "Whether a person took part in the decisions; the legal basis; how often decisions were contested or changed; the information owed under Articles 13(2)(f), 14(2)(g) and 15(1)(h);"
            " the impact assessment of Article 35(3)(a).",
        ),
        Provision(
            "Article 22(4)",
            "Such decisions must not rest on special categories of personal data (Article 9(1)), except with explicit consent or substantial public interest and suitable safeguards.",
            "Differences in outcome between groups, where such categories were recorded for the audit.",
            "Whether the model takes such data, or a stand-in for them, as an input. That a difference is absent does not show that it does not.",
        ),
    ),
)  # fmt: skip

DPDPA: Final = Instrument(
    "Digital Personal Data Protection Act, 2023 (India)",
    "The Act has no provision on discrimination and none on automated decisions as such; what touches them is mapped. Most of its duties come into force in steps, eighteen months after the"
    " Rules were notified in November 2025.",
    (
        Provision(
            "Section 8(3)",
            "Where personal data are likely to be used to make a decision that affects the Data Principal, the Data Fiduciary ensures their completeness, accuracy and consistency.",
            "How many decisions lack a protected attribute or an outcome (section 2), and how often decisions turned out right by group where outcomes are known.",
            "Whether the inputs of single decisions were complete, accurate and consistent.",
        ),
        Provision(
            "Section 10(2), with rule 13 of the Digital Personal Data Protection Rules, 2025",
            "A Significant Data Fiduciary has a data protection impact assessment and an audit made once in twelve months, and observes due diligence to verify that its technical measures,"
            " algorithmic software among them, are not likely to pose a risk to the rights of Data Principals.",
            "Recurring measurements of one such risk, unequal treatment of groups, that an assessor can take up and check (below).",
            "The assessment and the audit themselves, which others have to make; rights to access, correction, erasure and redress (sections 11 to 14); consent (section 6).",
        ),
    ),
)  # fmt: skip

NYC: Final = Instrument(
    "New York City Local Law 144 of 2021",
    "Administrative Code § 20-870 to § 20-874 and 6 RCNY § 5-300 to § 5-304 concern automated employment decision tools for hiring and promotion in New York City. {employment}"
    " The tables below have the form that 6 RCNY § 5-301 asks for. They are calculations and no bias audit: that has to be made by an independent auditor (§ 5-300), who was not involved in"
    " using, developing or distributing the tool and has no stake in its vendor, no more than one year before the use.",
    (
        Provision(
            "6 RCNY § 5-301, bias audit",
            "Selection rates (or scoring rates) and impact ratios for the sex categories, the race/ethnicity categories and their intersections, and the number of individuals"
            " whose category is unknown (subdivisions (b) and (c)). A category under 2 % of the data may be left out of the ratios by the independent auditor, with a justification and with its number of"
            " applicants and its rate (subdivision (d)).",
            "{nyc}",
            "Whether the categories recorded are those of EEO-1 Component 1, which § 5-300 asks for; which of the decisions were for positions in New York City; groups that the tool itself"
            " sorts candidates into.",
        ),
        Provision(
            "6 RCNY § 5-302 and § 5-303, data and published results",
            "Historical data of the tool, or test data with a reason; a published summary with the date of the audit, the source and explanation of the data, the numbers and ratios, and the distribution"
            " date of the tool.",
            "Which decisions the figures rest on, and from when (section 2); the numbers and ratios below.",
            "The publication; the distribution date; the notice to candidates ten business days before (§ 20-871(b), § 5-304).",
        ),
    ),
)  # fmt: skip

INSTRUMENTS: Final = (AI_ACT, EEOC, GDPR, DPDPA, NYC)

_ANNEX: Final[Mapping[str, str]] = {
    "hiring": "The declared use case, hiring, is named in Annex III, point 4(a).",
    "lending": "The declared use case is lending; the creditworthiness of natural persons is named in Annex III, point 5(b).",
    "healthcare": "The declared use case is healthcare; access to it and triage are named in Annex III, points 5(a) and 5(d), and medical devices fall under Annex I.",
    "criminal_justice": "The declared use case is criminal justice; law enforcement and the administration of justice are named in Annex III, points 6 and 8.",
    "content_recommendation": "The declared use case, content recommendation, is as such not named in Annex III.",
}


def facts(report: Mapping[str, Any], four_fifths: str, nyc: str) -> dict[str, str]:
    """What stands for the braces in the texts above."""
    scope, basis, results = report["scope"], report["evidence"]["basis"], report["results"]
    use_case = str(report["model"]["declarations"].get("use_case", ""))
    labelled = bool(scope["labelled"])
    in_ledger = (
        f"{basis['in_ledger']:,} of the {w.plural(basis['audits'], 'audit')} behind R are in the ledger"
    )
    return {
        "annex": _ANNEX.get(use_case, "No use case is declared for it that could be held against Annex III."),
        "employment": "The declared use case is hiring."
        if use_case == "hiring"
        else "This model is not declared to be for hiring; the arithmetic is shown all the same, and nothing follows from it unless the rule applies.",
        "audits": w.plural(scope["audits"], "audit"),
        "alerting": f"{report['audits']['alerting']:,}",
        "attributes": w.listed(scope["attributes"]) or "groups",
        "records": in_ledger,
        "error_rates": ", error rates and precision"
        if labelled
        else " (the audits hold no outcomes, so no error rates)",
        "accuracy": "; accuracy by group follows from the counts and is in the JSON form"
        if labelled and results is not None
        else "; the audits hold no outcomes, so no accuracy",
        "first": w.moment(scope["first_window_start"]),
        "last": w.moment(scope["last_window_end"]),
        "four_fifths": four_fifths,
        "nyc": nyc,
    }
