"""One document of each kind as people and older tools write them: sparse, with fields unknown to caf."""

from typing import Any

__all__ = ["SAMPLES"]

SAMPLES: dict[str, dict[str, Any]] = {
    "job.v1": {
        "schema_version": "v1",
        "job_id": "cat-dances-01",
        "date": "2026-02-05",
        "lane": "dance_swap",
        "niche": "dancing cats",
        "video": {"length_seconds": 12, "aspect_ratio": "9:16", "fps": 30, "resolution": "1080x1920"},
        "script": {"hook": "It never stops.", "voiceover": "Four beats and a spin.", "ending": "Again."},
        "shots": [{"t": 0, "visual": "stage", "action": "pose", "caption": "Pose"}],
        "captions": ["Pose", "Spin"],
        "hashtags": ["#cat", "#dance"],
        "render": {"background_asset": "assets/dance.mp4", "subtitle_style": "big_bottom"},
        "hero": {"hero_id": "mochi", "identity_pack_ref": "canon/identities/mochi.json"},
        "quality_target": {"relpath": "canon/strict.json"},
        "continuity_pack": {"relpath": "canon/pack.json"},
        "comfyui": {
            "provider": "comfyui_video",
            "base_url": "http://127.0.0.1:8188",
            "workflow_id": "dance_loop_v1",
            "workflow_relpath": "workflows/dance_loop_v1.json",
            "bindings": {
                "positive_prompt": "a tabby that dances",
                "seed": 123456,
                "seed_nodes": ["sampler"],
                "parameters": {"sampler": {"cfg": 7.5, "steps": 20, "scheduler": "normal"}},
            },
            "poll": {"timeout_seconds": 900, "interval_seconds": 2},
        },
        "platforms": ["youtube", "x"],
    },
    "approval.v1": {
        "job_id": "cat-dances-01",
        "platform": "youtube",
        "by": "ada",
        "note": "go",
        "approved": True,
    },
    "escalation_answer.v1": {
        "job_id": "cat-dances-01",
        "action": "retry",
        "by": "ada",
        "note": "another picture",
        "from_stage": "frame",
        "parameters": {"frame": {"identity_weight": 0.9}},
        "reference": "sandbox/assets/mochi.png",
        "chat_id": 17,
    },
    "production_metrics.v1": {
        "version": "1.0",
        "job_id": "cat-dances-01",
        "attempt_id": "run-0001",
        "ts": "2026-02-05T10:00:00Z",
        "visual_metrics": {
            "image_resolution": "1080x1920",
            "aspect_ratio": 0.5625,
            "feline_detected": {
                "present": True,
                "confidence": 0.97,
                "pose_detection_ratio": 0.41,
                "pose_fallback_active": True,
            },
            "pose_score": 1,
        },
        "engine_metrics": {
            "engine_id": "local",
            "execution_time_seconds": 12.5,
            "stage_durations": {"preprocessing_mediapipe": 3.1, "video": 4},
            "failure_flags": [],
        },
        "quality_gate_passed": False,
    },
    "production_decision.v1": {
        "version": "1.0",
        "job_id": "cat-dances-01",
        "attempt_id": "run-0012",
        "decision": {
            "action": "RETRY_STAGE",
            "reasoning": "The seam jumps; the preset smooths it.",
            "target_stage": "motion",
            "policy_overrides": {"fps_strategy": "preserve", "max_frames_override": 256},
            "parameter_adjustments": {"temporal_smoothing": 0.85, "7": {"cfg": 6.5, "sampler_name": "euler"}},
        },
    },
    "workflow_registry.v1": {
        "version": "1.0",
        "workflows": [
            {
                "workflow_id": "strong_identity",
                "engine": "comfyui",
                "relpath": "workflows/strong.json",
                "tags": ["feline", "identity_heavy"],
                "capabilities": {"supports_pose": True, "max_resolution": "1024x1024", "supports_i2v": True},
                "default_parameters": {"sampler": {"denoise": 0.75, "cfg": 8}},
            },
            {"workflow_id": "flat", "engine": "remote", "tags": [], "default_parameters": {"fps": 24}},
        ],
        "resolution_policies": {"letterbox": {"mode": "pad", "color": "black"}},
    },
    "comfyui_workflow.v1": {
        "workflow_id": "dance_loop_v1",
        "caf_mode": "motion_frame_sequence",
        "caf_capabilities": {"required_node_ids": ["1"], "required_node_classes": ["LoadImage"]},
        "nodes": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "__CAF_FRAME_IMAGE__"}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}, "_meta": {"title": "Save"}},
        },
    },
    "qc_policy.v1": {
        "version": "qc_policy.v1",
        "policy_id": "older",
        "max_retries_default": 1,
        "gates": [
            {
                "gate_id": "seam",
                "metric": "loop_seam",
                "dimension": "motion",
                "threshold": 1,
                "failure_action": "ABORT",
            }
        ],
        "routing": {"failure_action_priority": ["ABORT"], "fallback_action": "ESCALATE_USER"},
        "advisory_mode": {"enabled": True},
    },
    "qc_report.v1": {
        "version": "qc_report.v1",
        "job_id": "cat-dances-01",
        "generated_at": "2026-02-05T10:00:00.123Z",
        "inputs": {"policy": "canon/policy.json", "costume": None},
        "gates": [
            {
                "gate_id": "seam",
                "metric": "loop_seam",
                "dimension": "motion",
                "status": "UNKNOWN",
                "severity": "LOW",
                "repairable": True,
                "score": None,
                "threshold": 0.7,
                "failure_action": "RETRY_STAGE",
                "failure_class": None,
                "target_stage": "motion",
                "reason": "the clip has one frame",
            }
        ],
        "overall": {
            "pass": False,
            "failed_gate_ids": ["seam"],
            "failed_failure_classes": [],
            "recommended_action": "ESCALATE_USER",
        },
    },
    "user_action_required.v1": {
        "version": "user_action_required.v1",
        "job_id": "cat-dances-01",
        "reason": "IDENTITY_CONFLICT",
        "required_artifact": "hero.identity_pack_ref",
        "expected_format": "image/png",
        "escalation_ts": "2026-02-05T10:00:00+00:00",
    },
    "platform_state.v1": {
        "job_id": "cat-dances-01",
        "platform": "youtube",
        "status": "POSTED",
        "attempts": 1,
        "last_attempt_at": "2026-02-08T05:00:46.997740Z",
        "post_url": "https://youtu.be/abc",
    },
    "handoff_registry.v1": {
        "version": "handoff_registry.v1",
        "updated_at": "2026-02-24T07:13:38Z",
        "entries": [
            {
                "job_id": "cat-dances-01",
                "platform": "youtube",
                "post_url": "https://youtu.be/abc?t=1",
                "posted_at": "2026-02-24T06:26:33Z",
                "lane": "somebody else's lane",
            }
        ],
    },
    "quality_target.v1": {
        "version": "quality_target.v1",
        "profile_id": "strict",
        "thresholds": {"loop_seam": 0.9, "audio_video": 1},
    },
    "episode_continuity_pack.v1": {
        "version": "episode_continuity_pack.v1",
        "pack_id": "pack-1",
        "hero": {"hero_id": "mochi"},
        "style": {"style_id": "photoreal", "palette_hint": None},
        "costume": {"costume_profile_id": "dino"},
        "rules": {"require_costume_fidelity": True, "require_identity_consistency": True},
    },
    "identity_pack.v1": {
        "version": "identity_pack.v1",
        "identity_id": "mochi-dino",
        "references": {"front": "canon/mochi.png", "side": "canon/side.png"},
        "contract": {"canonical_descriptors": ["grey tabby"], "negative_descriptors": ["glasses"]},
    },
    "platform_payload.v1": {
        "job_id": "cat-dances-01",
        "platform": "x",
        "video": "sandbox/output/cat-dances-01/final.mp4",
    },
}
